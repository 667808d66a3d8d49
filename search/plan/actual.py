"""What a study took, and what for: read from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lssat.train.result import EVALUATION_SECONDS, TRAINING_SECONDS, WAITING_SECONDS
from search.record.folder import RunFolder, Stage
from search.record.trials import TrialRecord

PAUSE = 60
"""Seconds."""


@dataclass(frozen=True)
class Actual:
    """`seconds`: on the clock, from the first trial's start to the last one's end, pauses of an interrupted study
    included. `disk`: bytes that are there now. `spent`: shares of the time that it went on, by what for; None where no
    clock was read.
    """

    trials: int
    epochs: int
    seconds: float
    disk: int
    spent: dict[str, float] | None = None


def actual(folder: RunFolder) -> Actual:
    """Of the trials and final runs of a study that are over."""
    over = {stage: [record for record in folder.records(stage) if record.outcome] for stage in Stage}
    records = [record for of_stage in over.values() for record in of_stage]
    spans = [span for record in records if (span := record.span)]
    seconds = max(end for _, end in spans) - min(start for start, _ in spans) if spans else 0.0
    epochs = sum(record.num_epochs for record in records)
    return Actual(len(over[Stage.SEARCH]), epochs, seconds, folder.num_bytes(), spent(records))


def spent(records: Sequence[TrialRecord]) -> dict[str, float] | None:
    """What the places for runs were used for, as shares. There are as many places as runs that went on at once; time in
    which nothing went on for longer than PAUSE is no time of the study.

    "starts and checkpoints": the time of runs that is not in an epoch. "nothing runs": places that stand empty.
    """
    epochs = [epoch.metrics for record in records for epoch in record.epochs]
    if not epochs or any(TRAINING_SECONDS not in metrics for metrics in epochs):
        return None
    waiting = sum(metrics[WAITING_SECONDS] for metrics in epochs)
    training = sum(metrics[TRAINING_SECONDS] for metrics in epochs) - waiting
    evaluation = sum(metrics[EVALUATION_SECONDS] for metrics in epochs)
    running = sum(_seconds(record) for record in records)
    places, seconds = _places(records)
    whole = max(running, places * seconds)
    parts = {
        "training": training,
        "evaluation": evaluation,
        "waiting for images": waiting,
        "starts and checkpoints": running - training - evaluation - waiting,
        "nothing runs": whole - running,
    }
    return {name: part / whole for name, part in parts.items()}


def _seconds(record: TrialRecord) -> float:
    """That a run held its place, pauses left out."""
    outcome = record.outcome
    return record.seconds if outcome is None or outcome.seconds is None else outcome.seconds


def _places(records: Sequence[TrialRecord]) -> tuple[int, float]:
    """The most epochs that went on at the same time, and the seconds in which any did or was to come soon."""
    changes = []
    for record in records:
        before, ended = 0.0, 0.0
        for end, trained in record.moments:
            # Two clocks tell these two; no epoch begins before the last one of its run has ended.
            begun = max(ended, end - (trained - before))
            changes += [(begun, 1), (end, -1)]
            before, ended = trained, end
    running = most = 0
    seconds, last = 0.0, None
    for moment, change in sorted(changes):
        if last is not None and (running or moment - last <= PAUSE):
            seconds += moment - last
        running, last = running + change, moment
        most = max(most, running)
    return most, seconds
