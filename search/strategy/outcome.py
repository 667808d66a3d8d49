"""How a run of a trial ended: one rule for Optuna, for the record and for the screen."""

from __future__ import annotations

import math

from lssat.train.result import Ended, EpochResult
from search.record.trials import Outcome, Status
from search.space.settings import SearchConfig
from search.strategy.objectives import values
from search.strategy.promotion import pauses


def outcome_of(
    search: SearchConfig, last: EpochResult | Ended | None, died: bool, why: str = "its process died; see log.txt"
) -> Outcome | None:
    """How a trial ended whose last message was `last`; None where it has only paused, or was interrupted, and may go
    on.

    `died`: its process ended with an error of its own, and `why`.
    """
    if isinstance(last, Ended):
        return None if last.status == "interrupted" else Outcome(Status(last.status), last.reason)
    if died or last is None:
        return Outcome(Status.FAILED, why)
    if not math.isfinite(last.best):
        return Outcome(Status.FAILED, "its score is not a number")
    if last.epoch in pauses(search, last.epochs):
        return None
    if not last.is_last:
        return Outcome(Status.STOPPED)
    if not all(map(math.isfinite, values(search.objectives, last))):
        return Outcome(Status.FAILED, "an objective is not defined")
    return Outcome(Status.COMPLETE)
