"""What a study took: read from its folder."""

from __future__ import annotations

from dataclasses import dataclass

from search.record.folder import RunFolder, Stage


@dataclass(frozen=True)
class Actual:
    """`seconds`: on the clock, from the first trial's start to the last one's end, pauses of an interrupted study
    included. `disk`: bytes that are there now.
    """

    trials: int
    epochs: int
    seconds: float
    disk: int


def actual(folder: RunFolder) -> Actual:
    """Of the trials and final runs of a study that are over."""
    over = {stage: [record for record in folder.records(stage) if record.outcome] for stage in Stage}
    records = [record for of_stage in over.values() for record in of_stage]
    spans = [span for record in records if (span := record.span)]
    seconds = max(end for _, end in spans) - min(start for start, _ in spans) if spans else 0.0
    epochs = sum(record.num_epochs for record in records)
    return Actual(len(over[Stage.SEARCH]), epochs, seconds, folder.num_bytes())
