"""The end of a study: the choice is fixed on validation; then test is opened, once, and never changes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lssat.files import write_json
from search.record import manifest
from search.report import leaderboard
from search.report.screen import show_finals, show_leaderboard
from search.strategy import finalists as finals
from search.strategy.finalists import Final, Standing


def conclude(
    folder: Path, storage: Path, prepared: Path, record: dict[str, Any], runs: Sequence[Final], console: Console
) -> bool:
    """Name the winner and score it, or all finalists, on test. Whether there is a winner."""
    rows = leaderboard.rank(folder)
    table = finals.standings(runs, folder)
    if runs and not table:
        console.print(
            "no finalist reached its last epoch with every seed, so the best trial of the search is taken",
            style="yellow",
        )
    finished = finals.complete(runs, folder) if table else []
    trained = {run.name: storage / "finals" / run.name / "best" for run, _ in finished}
    own = {run.name: float(last["val/best"]) for run, last in finished if run.arm == table[0].arm}
    best = leaderboard.winner(rows)
    chosen = (
        max(own, key=lambda name: own[name]) if own else best.trial if best else None
    )  # of the winner's seeds, the best on validation is kept
    if chosen is None:
        manifest.save(folder, record)
        show_leaderboard(console, rows)
        console.print(
            "no trial reached its full budget, so there is no winner; the reasons are above and in "
            f"{folder / 'log.txt'}",
            style="red",
        )
        return False
    results = _open_test(folder, trained or {chosen: storage / "trials" / chosen / "best"}, chosen, prepared, record)
    scores = {name: result["score"] for name, result in results.items()}
    if table:
        table = finals.with_test(table, runs, scores)
        finals.write(table, folder)
        scores = {line.arm: line.test for line in table if line.test is not None}
    rows = leaderboard.with_test(rows, scores)
    leaderboard.write(rows, folder)
    manifest.save(folder, record)
    if table:
        show_finals(console, table)
    else:
        show_leaderboard(console, rows)
    _tell(console, folder, rows, table, chosen, results[chosen], len(record["test_opened"]))
    return True


def _open_test(
    folder: Path, trained: Mapping[str, Path], chosen: str, prepared: Path, record: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The test results of these runs (name -> their best checkpoint): scores, and of the chosen one, which is kept in
    `best/`, its scorecard.

    Each is scored once in the life of a study, and each opening is on record.
    """
    known: dict[str, dict[str, Any]] = {
        name: result for opening in record["test_opened"] for name, result in opening["results"].items()
    }
    has_card = "interval" in known.get(chosen, {})
    new = [name for name in trained if name not in known and name != chosen]
    if has_card and not new and record["test_opened"][-1]["chosen"] == chosen:
        return known
    from lssat.bundle import export, open_bundle, score_bundle, score_trained
    from lssat.data.prepared.decoding import read_resident
    from lssat.data.prepared.table import read_texts, shard_paths

    export(trained[chosen], folder / "best")
    if new or not has_card:  # else fewer finalists than before, and the winner is one that was scored then
        opening = {"time": manifest.now(), "chosen": chosen, "results": {}}
        record["test_opened"].append(opening)
        manifest.save(folder, record)  # before a look: a kill must not hide it
        config = open_bundle(folder / "best")[0]
        rows, texts = read_resident(shard_paths(prepared, "test"), config.data.image_size), read_texts(prepared, "test")
        found = {} if has_card else {chosen: score_bundle(folder / "best", rows, texts, config.objective.subgroups)}
        found |= {name: score_trained(trained[name], rows, texts) for name in new}
        opening["results"] = found
        known |= found
    write_json(folder / "best" / "test.json", known[chosen])
    return known


def _tell(
    console: Console,
    folder: Path,
    rows: list[leaderboard.Row],
    table: Sequence[Standing],
    chosen: str,
    result: Mapping[str, Any],
    openings: int,
) -> None:
    trial = next(row for row in rows if row.trial == chosen.split("-")[0])
    where = f"{len(table)} configurations of the final stage" if table else "trials of the search, one seed each"
    validation = (
        f"{table[0].mean:.4f} on validation (mean of {table[0].seeds} fresh seeds)"
        if table
        else f"{trial.score:.4f} on validation"
    )
    console.print(
        f"\nwinner: {chosen}, {table[0].backbone if table else trial.backbone}, {result['metric']} {validation}, "
        f"{result['score']:.4f} on test",
        markup=False,
    )
    low, high = result["interval"]
    others = ", ".join(
        f"{key} {value:.4f}"
        for key, value in result.items()
        if isinstance(value, float) and key not in ("score", "task_loss", result["metric"])
    )
    console.print(
        f"  on test also {others}\n  95% interval of the test score: {low:.4f} to {high:.4f} (other test images of "
        "such people, the same model)",
        markup=False,
    )
    if ties := finals.tied(table):
        smallest = min([table[0], *ties], key=lambda line: line.parameters or 0)
        console.print(
            f"  tie: validation cannot tell it from {', '.join(line.arm for line in ties)}; the smallest of them is "
            f"{smallest.arm}, {smallest.backbone}"
        )
    times = (
        "once"
        if openings == 1
        else f"{openings} times in all, once for each set of finalists that an extension of the study brought"
    )
    console.print(
        f"the choice was made on validation alone, among {where}; then test was opened ({times}) and changed nothing"
    )
    shown = Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder
    console.print(
        f"  weights and config   {shown / 'best'}\n  leaderboard          {shown / 'leaderboard.md'}", markup=False
    )
    if table:
        console.print(f"  final stage          {shown / 'finals.md'}", markup=False)
    tensorboard = Path(sys.executable).with_name("tensorboard")
    binary = os.path.relpath(tensorboard) if tensorboard.is_relative_to(Path.cwd()) else tensorboard.name
    console.print(f"  TensorBoard          {binary} --logdir {shown / 'tensorboard'} --host 127.0.0.1", markup=False)
