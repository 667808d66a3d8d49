"""What the last screen says of the winner: the same numbers as the tables and `test.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lssat.data.prepared.table import DatasetInfo
from lssat.evaluation.scorecard import interval_in_words
from lssat.task import Task
from search.claims.chance import chance
from search.report.final_table import FinalRow, plus_minus, tied
from search.report.leaderboard import Row

OF_WHAT = ": of the same model on other test images of such people"


@dataclass(frozen=True)
class Mean:
    """Of scores over seeds; `half`: the half-width of its 95% interval, None or NaN of one seed."""

    value: float
    half: float | None = None

    def __str__(self) -> str:
        return plus_minus(self.value, self.half)


@dataclass(frozen=True)
class Winner:
    """What validation chose. `validation` and `test` are of the same runs, which `over` names in words. `kept`: whose
    weights are kept, in words; `card`: their scorecard on test.
    """

    name: str
    backbone: str
    validation: Mean
    test: Mean
    over: str
    kept: str
    card: Mapping[str, Any]


def of_final_stage(row: FinalRow, run: str, validation: float, card: Mapping[str, Any]) -> Winner:
    """The winner of a final stage, whose run `run` is kept, with that score on validation."""
    assert row.test is not None, "the table has no test scores yet"
    mean, test = Mean(row.mean, row.half), Mean(row.test, row.test_half)
    kept = f"seed {run.rpartition('seed')[2]} ({run}), the best of them on validation ({validation:.4f})"
    return Winner(row.arm, row.backbone, mean, test, f"mean of {row.seeds} fresh seeds", kept, card)


def of_search(row: Row, card: Mapping[str, Any]) -> Winner:
    """The winner of a search without a final stage."""
    score = float("nan") if row.score is None else row.score
    name, over = f"trial {row.trial}", "its one run in the search"
    return Winner(name, row.backbone, Mean(score), Mean(card["score"]), over, name, card)


def lines(winner: Winner, table: Sequence[FinalRow]) -> list[str]:
    """Who it is and what it reaches; what the kept weights reach; who is not told from it. `table`: the final stage."""
    card = winner.card
    others = ", ".join(
        f"{key} {value:.4f}"
        for key, value in card.items()
        if isinstance(value, float) and key not in ("score", "task_loss", card["metric"])
    )
    found = [
        f"winner: {winner.name}, {winner.backbone}, {card['metric']} {winner.validation} on validation, {winner.test} "
        f"on test ({winner.over})",
        f"  kept in best/: {winner.kept}, with {card['score']:.4f} on test ({interval_in_words(card)}"
        f"{OF_WHAT if card['interval'] else ''})",
        f"  on test it also has {others}",
    ]
    if ties := tied(table):
        smallest = min([table[0], *ties], key=lambda row: row.parameters or 0)
        names = ", ".join(row.arm for row in ties)
        found.append(
            f"  tie: validation cannot tell it from {names}; the smallest of them is {smallest.arm}, "
            f"{smallest.backbone}"
        )
    return found


def chance_line(winner: Winner, task: Task, info: DatasetInfo) -> str | None:
    """That the winner is no better than whoever guesses without looking, if so.

    The mean on validation would have to be higher than that. So would the mean on test, and the interval of the kept
    weights there: on validation the best of several epochs was taken, which alone lifts a guesser above chance.
    """
    metric = task.group_metric(winner.card["metric"])
    on_validation, on_test = (
        chance(task.kind, metric, [info.counts[split][name] for name in task.classes], info.rows[split])
        for split in ("val", "test")
    )
    bounds = winner.card["interval"]
    if winner.validation.value <= on_validation:
        return _no_better(on_validation, f"{winner.validation} on validation")
    if winner.test.value <= on_test:
        return _no_better(on_test, f"{winner.test} on test")
    if bounds and bounds[0] <= on_test:
        return _no_better(on_test, f"on test its {interval_in_words(winner.card)}")
    return None


def _no_better(guessing: float, found: str) -> str:
    return (
        f"  no better than chance ({guessing:.3f}): {found}, which guessing without looking gets as well; more data, "
        "epochs or trials may help"
    )
