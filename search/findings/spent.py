"""What runs cost: epochs, images and time, and what stopping them early left out. Read from their records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.record.trials import Status, TrialRecord


@dataclass(frozen=True)
class Spent:
    """By some runs. images: that passed through the network in training, a row as often as it did. seconds: trained,
    pauses left out, of all runs together: of two at a time those of both.
    """

    runs: int
    epochs: int
    images: int
    seconds: float


@dataclass(frozen=True)
class LeftOut:
    """By the runs that were stopped early. epochs: until their last ones; planned: of all runs, whatever became of
    them; seconds: at each run's own pace.
    """

    runs: int
    epochs: int
    planned: int
    images: int
    seconds: float


def spent(records: Sequence[TrialRecord], num_rows: int) -> Spent:
    """By these runs, whose data have so many rows for training."""
    return Spent(
        len(records),
        sum(record.num_epochs for record in records),
        round(sum(record.num_epochs * images_of_an_epoch(record, num_rows) for record in records)),
        sum(map(seconds_of, records)),
    )


def left_out(records: Sequence[TrialRecord], num_rows: int) -> LeftOut:
    """By those of these runs that were stopped."""
    of_stopped = [
        (record, last.epochs - last.epoch)
        for record in records
        if record.status == Status.STOPPED and (last := record.last)
    ]
    return LeftOut(
        len(of_stopped),
        sum(epochs for _, epochs in of_stopped),
        sum(record.config.optim.epochs for record in records),
        round(sum(epochs * images_of_an_epoch(record, num_rows) for record, epochs in of_stopped)),
        sum(epochs * seconds_of(record) / record.num_epochs for record, epochs in of_stopped),
    )


def images_of_an_epoch(record: TrialRecord, num_rows: int) -> float:
    """That pass through the network in training."""
    return num_rows * record.config.data.train_fraction


def seconds_of(record: TrialRecord) -> float:
    """That a run has trained. One that ended within an epoch trained longer than its record of epochs says."""
    outcome = record.outcome
    return max(record.seconds, (outcome and outcome.seconds) or 0.0)


def on_the_clock(records: Sequence[TrialRecord]) -> float:
    """The seconds in which at least one of these runs was within an epoch that is on record."""
    spans = []
    for record in records:
        before = 0.0
        for ended, seconds in record.moments:
            spans.append((ended - (seconds - before), ended))
            before = seconds
    covered, until = 0.0, -math.inf
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered
