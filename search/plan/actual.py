"""What a study took: read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.report import leaderboard


@dataclass(frozen=True)
class Actual:
    """`seconds`: on the clock, from the first trial's start to the last one's end, pauses of an interrupted study
    included.
    """

    trials: int
    epochs: int
    seconds: float
    disk: int  # bytes that are there now


def actual(folder: Path) -> Actual:
    """Of the trials and final runs in a study's folder that are over."""
    starts, ends, trials, epochs = [], [], 0, 0
    for path in sorted(folder.glob("*/*/outcome.json")):
        trials += path.parent.parent.name == "trials"
        if reported := leaderboard.metrics(path.parent):
            epochs += reported[-1]["epoch"]
            ends.append(reported[-1]["time"])
            starts.append(reported[0]["time"] - reported[0]["seconds"])
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Actual(trials, epochs, max(ends, default=0.0) - min(starts, default=0.0), disk)
