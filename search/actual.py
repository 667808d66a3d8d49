"""What a study took: read from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from search import leaderboard


@dataclass(frozen=True)
class Actual:
    """`seconds`: on the clock, from the first trial's start to the last one's end, pauses of an interrupted study included."""

    trials: int
    epochs: int
    seconds: float
    disk: int  # bytes that are there now


def actual(folder: Path) -> Actual:
    """Of the trials in a study's folder that are over."""
    starts, ends, epochs = [], [], 0
    for path in sorted((folder / "trials").glob("*/outcome.json")):
        reported = leaderboard.metrics(path.parent)
        if not reported:
            continue
        epochs += reported[-1]["epoch"]
        ends.append(reported[-1]["time"])
        starts.append(reported[-1]["time"] - json.loads(path.read_text())["seconds"])
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Actual(len(ends), epochs, max(ends, default=0.0) - min(starts, default=0.0), disk)
