"""What the last screen says of the winner: the same numbers as the tables and `test.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lssat.errors import ConfigError
from lssat.evaluation.scorecard import interval_in_words, shown_values
from lssat.evaluation.units import score_units
from search.claims.chance import chance
from search.claims.words import Word, listed
from search.findings import leaderboard
from search.findings.final_table import FinalRow, complete_runs, winning_arm
from search.findings.leaderboard import Row
from search.findings.told import Told, would_tell
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest, Rotation
from search.record.predictions import KeptPredictions
from search.record.predictions import read as read_predictions
from search.strategy.finalists import FOLD, FinalRun, arm_and_seed, arm_scores, over_folds, rotation_of

NO_FINALIST = "no finalist reached its last epoch with every seed, so the best trial of the search is taken"
OF_WHAT = ": of the same model on other test images of such people"


@dataclass(frozen=True)
class Chosen:
    """What validation chose: a run of a stage, of the trial of that name."""

    run: str
    trial: str
    stage: Stage


@dataclass(frozen=True)
class Winner:
    """What validation chose. `validation` and `test` are of the same runs, which `over` names in words. `kept`: whose
    weights are kept, in words; `card`: their scorecard on test.
    """

    name: str
    backbone: str
    validation: float
    test: float
    over: str
    kept: str
    card: Mapping[str, Any]


def chosen(folder: RunFolder, rows: Sequence[Row], runs: Sequence[FinalRun]) -> Chosen | None:
    """The winner of the final stage or, without one, of the search. Of the winner's seeds the best on validation is
    kept; where values are held out one after the other, its run without the value that the search held out, or else
    the first one.
    """
    results = complete_runs(folder, runs)
    if winning := winning_arm(runs, results):
        own = [run for run in runs if run.name in results and run.arm.name == winning]
        seeds = arm_scores(own, {run.name: results[run.name].best for run in own})[winning]
        best_seed = max(seeds, key=lambda seed: seeds[seed])
        of_seed = [run for run in own if run.seed == best_seed]
        held_out = own[0].arm.config.data.held_out
        best_run = next((run for run in of_seed if run.fold and [run.fold.value] == held_out), of_seed[0])
        return Chosen(best_run.name, best_run.arm.trial, Stage.FINAL)
    best = leaderboard.winner(rows)
    return Chosen(best.trial, best.trial, Stage.SEARCH) if best else None


def of_study(
    folder: RunFolder, manifest: Manifest, rows: Sequence[Row], runs: Sequence[FinalRun], table: Sequence[FinalRow]
) -> Winner | None:
    """None while the test split is closed, was opened for another winner, or not for all runs of this one: validation
    and test are of the same seeds. `table`: with test scores.
    """
    found = chosen(folder, rows, runs)
    card = manifest.test_results.get(found.run, {}) if found else {}
    if found is None or "interval" not in card:
        return None
    if found.stage is Stage.SEARCH:
        return of_search(next(row for row in rows if row.trial == found.trial), card)
    if any(run.name not in manifest.test_results for run in runs if run.arm.name == table[0].arm):
        return None
    last = folder.record(Stage.FINAL, found.run).last
    validation = last.best if last else float("nan")
    return of_final_stage(table[0], found.run, validation, card, rotation_of(runs))


def of_final_stage(
    row: FinalRow, run: str, validation: float, card: Mapping[str, Any], rotation: Rotation | None = None
) -> Winner:
    """The winner of a final stage, whose run `run` is kept, with that score on validation."""
    assert row.test is not None, "the table has no test scores yet"
    seed, over = arm_and_seed(run)[1], f"mean of {row.seeds} fresh seeds"
    kept = f"seed {seed} ({run}), the best of them on validation ({validation:.4f})"
    if rotation:
        over += f", of each the {rotation.over} over what is held out: {', '.join(rotation.values)}"
        value = rotation.values[int(run.rpartition(FOLD)[2])]
        kept = (
            f"the run without {value} ({run}, {validation:.4f} on validation) of seed {seed}, the best of them over "
            "all that is held out"
        )
    return Winner(row.arm, row.backbone, row.mean, row.test, over, kept, card)


def of_search(row: Row, card: Mapping[str, Any]) -> Winner:
    """The winner of a search without a final stage."""
    score = float("nan") if row.score is None else row.score
    name, over = f"trial {row.trial}", "its one run in the search"
    return Winner(name, row.backbone, score, card["score"], over, name, card)


def lines(winner: Winner, table: Sequence[FinalRow], chance: str | None = None) -> list[str]:
    """Who it is and what it reaches; what the kept weights reach; what may be said of the arms. `table`: the final
    stage. `chance`: see `chance_line`; whatever is said of a guesser stands below it.
    """
    card = winner.card
    others = ", ".join(
        f"{key} {value:.4f}"
        for key, value in card.items()
        if isinstance(value, float) and key not in ("score", "task_loss", card["metric"])
    )
    found = [
        f"winner: {winner.name}, {winner.backbone}, {card['metric']} {winner.validation:.4f} on validation, "
        f"{winner.test:.4f} on test ({winner.over})",
        f"  kept in best/: {winner.kept}, with {card['score']:.4f} on test ({interval_in_words(card)}"
        f"{OF_WHAT if card['interval'] else ''})",
        f"  on test it also has {others}",
        *(f"  {line}" for line in (shown_values(card["hold_out"]) if "hold_out" in card else [])),
    ]
    return [*found, *([chance] if chance else []), *of_the_best(table), *of_the_auxiliary_task(table)]


class Guessed(NamedTuple):
    """What guessing can expect to get: of a seed on validation and on test, and of the kept run on test."""

    validation: float
    test: float
    kept: float


def guessed(folder: RunFolder, found: Chosen, runs: Sequence[FinalRun]) -> Guessed | None:
    """By what the winner's runs were scored on, as their kept predictions have it: these units (videos, where they are
    scored), and of each run those of what it held out. None where predictions were not kept.

    Where a seed's worst run counts, nobody expects more than the lowest level of them all.
    """
    names = [found.run]
    if found.stage is Stage.FINAL:
        own = arm_and_seed(found.run)
        names = [run.name for run in runs if (run.arm.name, run.seed) == own]
    try:
        of_split = {
            split: {
                name: _level(read_predictions(folder.record(found.stage, name).predictions(split))) for name in names
            }
            for split in ("val", "test")
        }
    except ConfigError:
        return None
    over = runs[0].over if found.stage is Stage.FINAL else None
    validation, test = (over_folds(list(levels.values()), over) for levels in of_split.values())
    return Guessed(validation, test, of_split["test"][found.run])


def _level(kept: KeptPredictions) -> float:
    task, scored = kept.about.scored_task, kept.scored
    labels = score_units(task, scored.predictions, scored.texts)[0].labels
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=max(2, len(task.classes)))
    return chance(task.kind, task.group_metric(kept.about.metric), counts.tolist(), len(labels))


def chance_line(winner: Winner, guessed: Guessed) -> str | None:
    """That the winner is no better than whoever guesses without looking, if so.

    The mean on validation would have to be higher than that. So would the mean on test, and the interval of the kept
    weights there: on validation the best of several epochs was taken, which alone lifts a guesser above chance.
    """
    bounds = winner.card["interval"]
    if winner.validation <= guessed.validation:
        return _no_better(guessed.validation, f"{winner.validation:.4f} on validation")
    if winner.test <= guessed.test:
        return _no_better(guessed.test, f"{winner.test:.4f} on test")
    if bounds and bounds[0] <= guessed.kept:
        return _no_better(guessed.kept, f"on test its {interval_in_words(winner.card)}")
    return None


def of_the_best(table: Sequence[FinalRow]) -> list[str]:
    """Which arm is the best, or may be; nothing where there is one."""
    if len(table) < 2:
        return []
    top = next(row for row in table if row.best.difference is None)
    why = top.best.claim.why
    found = [f"  which arm is the best cannot be told: {why}"] if why else _beside_the_best(top, table)
    if top.failed:
        found.append(f"  {top.arm} has the highest mean, but does not win: {top.failed} of its runs failed")
    return found


def _beside_the_best(top: FinalRow, table: Sequence[FinalRow]) -> list[str]:
    """`top`: the arm of the highest mean, which the others stand beside."""
    by_word = {word: [row for row in table if row.best.claim.word is word] for word in Word}
    if by_word[Word.BEST]:
        return [f"  {top.arm} is the best: every other arm is worse"]
    open_rows, equal, untold = by_word[Word.MAY_BE_BEST], by_word[Word.EQUIVALENT], by_word[Word.UNTOLD]
    found = [f"  {listed([row.arm for row in open_rows])} may be the best"]
    if rivals := [row.best for row in open_rows if row is not top]:
        found[0] += f": validation cannot tell them apart; {would_tell(rivals)}"
    if equal:
        arms = listed([row.arm for row in equal])
        found.append(f"  equivalent to {top.arm} (apart by less than {top.best.rule.margin:g}): {arms}")
    if untold:
        names = listed([row.arm for row in untold])
        found.append(f"  whether {names} may be the best cannot be told: {would_tell([untold[0].best])}")
    near = [row for row in [*open_rows, *equal] if not row.failed]
    if len(near) > 1:
        smallest = min(near, key=lambda row: row.parameters or 0)
        found.append(f"  the smallest of these: {smallest.arm}, {smallest.backbone}")
    return found


def of_the_auxiliary_task(table: Sequence[FinalRow]) -> list[str]:
    """Whom it helped, whom it harmed, to whom it made no difference; below, of whom that cannot be told."""
    pairs = [row.supervised for row in table if row.supervised]
    said = {Word.BETTER: "helped ", Word.WORSE: "harmed ", Word.EQUIVALENT: "equivalent without it: "}
    parts = []
    for word, begins in said.items():
        if found := [of for of in pairs if of.claim.word is word]:
            parts.append(begins + _differences(found))
    lines = [f"  the auxiliary task: {'; '.join(parts)}"] if parts else []
    if untold := [of for of in pairs if of.claim.word is Word.UNTOLD]:
        names = listed([f"{of.claim.arm} ({of.plus_minus})" for of in untold])
        lines.append(f"  whether the auxiliary task helps {names} cannot be told: {would_tell(untold)}")
    return lines


def _differences(pairs: Sequence[Told]) -> str:
    return ", ".join(f"{of.claim.arm} ({of.plus_minus})" for of in pairs)


def _no_better(guessing: float, found: str) -> str:
    return (
        f"  no better than chance ({guessing:.3f}): {found}, which guessing without looking gets as well; more data, "
        "epochs or trials may help"
    )
