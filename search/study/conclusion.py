"""The end of a study: the choice is fixed on validation; then test is opened, once, and never changes it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from lssat.command import Notify, from_here, words_that_start
from search.findings import domains, final_table, leaderboard, winner
from search.findings.by_fold import by_fold
from search.findings.final_table import FinalRow
from search.findings.screen import show_final_table, show_leaderboard
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest
from search.record.speeds import add_speed, network_of, read_speeds
from search.record.trials import Status
from search.strategy.finalists import FinalRun
from search.study.context import Study, split_texts


@dataclass(frozen=True)
class Choice:
    """What validation chose. `run`: whose weights are kept.

    `trained`: the runs that are scored on test, all of one `stage`. `best`: gives the best checkpoint of one of them,
    which is there until another one is asked for. `keep_opening`: lets the record that test is opened outlive this
    machine.
    """

    run: str
    trained: Sequence[str]
    stage: Stage
    best: Callable[[str], Path]
    keep_opening: Callable[[], None] = lambda: None


def conclude(
    study: Study, manifest: Manifest, rows: Sequence[leaderboard.Row], runs: Sequence[FinalRun], console: Console
) -> bool:
    """Name the winner and score it, or all finalists, on test. Whether there is a winner.

    `rows`: the ranked trials; `runs`: those of the final stage.
    """
    folder = study.folder
    table = final_table.final_table(folder, runs, rows, study.space.search)
    if runs and not table:
        console.print(winner.NO_FINALIST, style="yellow")
    choice = _choose(study, rows, runs)
    if choice is None:
        manifest.end_session()
        show_leaderboard(console, rows)
        console.print(
            f"no trial reached its full budget, so there is no winner; the reasons are above and in {folder.log}",
            style="red",
        )
        return False
    open_test(folder, study.prepared, manifest, choice, console.print)
    table = final_table.with_test(table, runs, manifest.test_scores)
    found = winner.of_study(folder, manifest, rows, runs, table)
    assert found is not None, "it has just been scored"
    kept = winner.chosen(folder, rows, runs)
    guessed = winner.guessed(folder, kept, runs) if kept else None
    warning = winner.chance_line(found, guessed) if guessed else None
    other_rule = domains.disagreement(folder, runs)
    said = [*winner.lines(found, table, warning), *([other_rule] if other_rule else [])]
    folds = by_fold(folder, runs, table)
    if table:
        final_table.write(table, said, folder, folds.markdown if folds else "")
    _measure_speeds(study, rows, console)
    rows = leaderboard.with_speeds(leaderboard.with_test(rows, manifest.test_scores), folder)
    leaderboard.write(rows, folder)
    manifest.end_session()
    if table:
        show_final_table(console, table)
        if folds:
            folds.sheet(folder.final_page.name).show(console)
    else:
        show_leaderboard(console, rows)
    console.print()
    for line in said:
        console.print(line, style="yellow" if line in (warning, other_rule) else None)
    _show_where(console, study, table, manifest.num_openings)
    return True


def lost_runs(
    study: Study, manifest: Manifest, rows: Sequence[leaderboard.Row], runs: Sequence[FinalRun], notify: Notify
) -> tuple[Stage, list[str]]:
    """The runs whose best checkpoint `conclude` will read but which is damaged, not there, or not of the epoch that is
    on record: a kill came while such a run was trained again. Raises StorageLost, OSError.
    """
    from lssat.bundle.folder import TEST

    choice = _choose(study, rows, runs)
    if choice is None:
        return Stage.SEARCH, []
    known = manifest.test_results
    is_kept = choice.run in known and _holds(study.folder.bundle / TEST, known[choice.run])
    needed = [name for name in choice.trained if name not in known or (name == choice.run and not is_kept)]
    study.storage.mark.check()
    lost = []
    for name in needed:
        if reason := _lack(choice.best(name), study.folder.record(choice.stage, name).best_epoch):
            notify(f"{name} is trained again: {reason}")
            lost.append(name)
    return choice.stage, lost


def _lack(best: Path, epoch: int) -> str | None:
    """Why a checkpoint is not the one of this epoch, if so."""
    from lssat.train import checkpoint

    try:
        _, state = checkpoint.load(best)
    except checkpoint.DamagedCheckpoint:
        return f"its checkpoint in {best} is damaged or not there"
    found = state.get("result", {}).get("epoch", epoch)
    return None if found == epoch else f"its best checkpoint is of epoch {found}, its best score of epoch {epoch}"


def open_test(folder: RunFolder, prepared: Path, manifest: Manifest, choice: Choice, notify: Notify) -> None:
    """Keep the chosen run as the bundle, and put the test results of all trained runs on record: scores, and of the
    chosen one its scorecard.

    Each opening is on record. A run is scored when it is first a finalist, and for its scorecard when it first wins.
    """
    from lssat.bundle.exporting import add_test, export
    from lssat.bundle.folder import TEST

    known, chosen = manifest.test_results, choice.run
    has_scorecard = "interval" in known.get(chosen, {})
    new = [name for name in choice.trained if name not in known and name != chosen]
    test_result = folder.bundle / TEST
    if has_scorecard and not new and _holds(test_result, known[chosen]):
        return
    export(choice.best(chosen), folder.bundle, prepared)
    if new or not has_scorecard:  # else a winner of earlier finalists is the winner again
        notify(f"scoring {_runs(len(new) + (not has_scorecard))} on test ...")
        manifest.open_test(chosen)
        choice.keep_opening()
        found = _score_on_test(folder, prepared, choice, [*([] if has_scorecard else [chosen]), *new])
        manifest.record_test(found)
        known |= found
    add_test(folder.bundle, known[chosen])


def _score_on_test(
    folder: RunFolder, prepared: Path, choice: Choice, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The result of each of these runs, whose predictions go into its record."""
    from lssat.bundle.opening import open_bundle
    from lssat.bundle.scoring import score_bundle, score_trained
    from lssat.data.prepared.decoding import read_resident
    from lssat.data.prepared.table import shard_paths
    from search.record import predictions

    bundle = open_bundle(folder.bundle)
    subgroups = bundle.config.objective.subgroups
    rows = read_resident(shard_paths(prepared, "test"), bundle.config.data.image_size)
    split = split_texts(prepared, "test")
    results = {}
    for name in names:
        if name == choice.run:
            found = score_bundle(bundle, rows, split.texts, subgroups)
        else:
            found = score_trained(choice.best(name), rows, split.texts)
        results[name] = found.result
        kept = predictions.joined(split, bundle.task, found.config, found.predictions, range(rows.num_rows))
        predictions.write(folder.record(choice.stage, name).predictions("test"), kept)
    return results


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _holds(path: Path, result: Mapping[str, Any]) -> bool:
    """Whether a file holds this result: a kill may have come before it was written, or another run had won since."""
    return path.exists() and json.loads(path.read_text()) == json.loads(json.dumps(result))


def _choose(study: Study, rows: Sequence[leaderboard.Row], runs: Sequence[FinalRun]) -> Choice | None:
    """The winner; of a final stage, all of its finished runs are scored on test."""
    found = winner.chosen(study.folder, rows, runs)
    if found is None:
        return None
    is_final = found.stage is Stage.FINAL
    names = list(final_table.complete_runs(study.folder, runs)) if is_final else [found.run]
    return Choice(found.run, names, found.stage, partial(study.storage.best, found.stage), study.mirror.now)


def _measure_speeds(study: Study, rows: Sequence[leaderboard.Row], console: Console) -> None:
    """Of each network that had the full budget, once: how fast a trial is depends on what runs beside it, and now
    nothing does.
    """
    from search.plan.rates import classification_speed

    records = [study.folder.record(Stage.SEARCH, row.trial) for row in rows if row.status == Status.COMPLETE]
    networks = {network_of(record): record.config for record in records}
    new = {network for network in networks if network.flops is not None} - read_speeds(study.folder).keys()
    if new:
        console.print(f"measuring the speed of {len(new)} network{'s' * (len(new) > 1)}, alone on this machine")
    for network in sorted(new, key=str):
        if speed := classification_speed(networks[network], study.task.num_outputs):
            add_speed(study.folder, network, *speed)


def _show_where(console: Console, study: Study, table: Sequence[FinalRow], num_openings: int) -> None:
    """How the choice was made, and where everything is."""
    among = f"{len(table)} configurations of the final stage" if table else "trials of the search, one seed each"
    times = (
        "once"
        if num_openings == 1
        else f"{num_openings} times in all, once for each set of finalists that an extension of the study brought"
    )
    console.print(
        f"the choice was made on validation alone, among {among}; then test was opened ({times}) and changed nothing"
    )
    folder = study.folder
    shown = {"weights and config": folder.bundle, "leaderboard": folder.leaderboard_page}
    if table:
        shown["final stage"] = folder.final_page
    for what, path in shown.items():
        console.print(f"  {what:<21}{shlex.quote(from_here(path))}", soft_wrap=True)
    command = Path(sys.executable).with_name("tensorboard")
    binary = from_here(command) if command.is_relative_to(Path.cwd()) else command.name
    for what, typed in (("role of each setting", "role"), ("optuna-dashboard", "dashboard")):
        command_line = shlex.join([*words_that_start(f"python search/{typed}.py"), from_here(folder.path)])
        console.print(f"  {what:<21}{command_line}", soft_wrap=True)
    words = shlex.join([binary, "--logdir", from_here(folder.tensorboard), "--host", "127.0.0.1"])
    console.print(f"  {'TensorBoard':<21}{words}", soft_wrap=True)
