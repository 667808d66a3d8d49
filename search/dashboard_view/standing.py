"""How a trial stands, in Optuna's states and in words: a trial runs only where it runs now, and what does not go on
says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optuna.trial import TrialState

from search.record.trials import Outcome, Status, TrialRecord

STATES = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.STOPPED: TrialState.PRUNED,
    Status.INFEASIBLE: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}
GOES_ON = "`--resume` goes on"


class Standing(NamedTuple):
    """`word`: how it stands; `reason`: why, where there is one; `outlook`: what it would take, or what is to come."""

    state: TrialState
    word: str
    reason: str
    outlook: str

    @property
    def note(self) -> str:
        """All of it, as Markdown."""
        said = f"**{self.word}**{f': {self.reason}' if self.reason else ''}"
        return f"{said}\n\n{self.outlook}" if self.outlook else said


class Search(NamedTuple):
    """What of a search says how its trials stand. `rungs`: the epochs at which they pause; none where they never do.

    `runs_since`: when the session began that runs now, in seconds since 1970; None where none does.
    """

    rungs: Sequence[int]
    reduction_factor: int
    runs_since: float | None


def standing(record: TrialRecord, search: Search) -> Standing:
    """How the trial of a record stands."""
    outcome = record.outcome
    return _over(record, outcome) if outcome else _open(record, search)


def without_record(broken: str | None) -> Standing:
    """How a trial stands that never began. `broken`: the rule that its point breaks."""
    if broken:
        return Standing(TrialState.FAIL, "failed", broken, "Nothing was trained: its settings do not go together.")
    return Standing(TrialState.WAITING, "queued", "", "It has not begun.")


def _over(record: TrialRecord, outcome: Outcome) -> Standing:
    outlooks = {
        Status.COMPLETE: f"It had its full budget; its best epoch is {record.best_epoch if record.num_epochs else 0}.",
        Status.STOPPED: f"It was behind the others at {_reached(record)}, so the rest of its budget went to them.",
        Status.INFEASIBLE: "One row at a time does not fit into memory. It takes a device with more, smaller images "
        "(`data.image_size`) or a smaller backbone.",
        Status.FAILED: "The study's log may say more.",
    }
    return Standing(STATES[outcome.status], outcome.status.value, outcome.reason, outlooks[outcome.status])


def _open(record: TrialRecord, search: Search) -> Standing:
    """One that may go on. At a rung, what has paused is told from what runs by what came last: its epoch or its start.

    Of an earlier session a copied record has lost when it started, and one at a rung goes on from there either way.
    """
    reached, runs = _reached(record), search.runs_since is not None
    is_at_rung = record.num_epochs in search.rungs
    is_started = search.runs_since is not None and record.started >= search.runs_since
    if is_started and not (is_at_rung and record.moments[-1][0] >= record.started):
        return Standing(TrialState.RUNNING, "running", "", f"It has reached {reached}.")
    if is_at_rung:
        waits = f"It waits until it is among the best that reach this epoch (1 in {search.reduction_factor})"
        outlook = f"{waits}." if runs else f"{waits}; {GOES_ON} with the search."
        return Standing(TrialState.WAITING, "paused", f"at {reached}", outlook)
    outlook = "The session that runs now goes on with it." if runs else f"{GOES_ON} with it from there."
    return Standing(TrialState.WAITING, "interrupted", f"after {reached}", outlook)


def _reached(record: TrialRecord) -> str:
    return f"epoch {record.num_epochs} of {record.config.optim.epochs}"
