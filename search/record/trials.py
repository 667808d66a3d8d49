"""What is on disk of one trial, or of one run of the final stage: its settings, its epochs and how it ended.

The driver alone writes here. Every write is whole and flushed to disk before the caller goes on, so that neither a kill
nor a power cut loses what had been written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from lssat.config import Config, build, current_keys
from lssat.files import append_json_line, write_json, write_text, write_whole
from lssat.train.result import EpochResult, read_report
from search.record.names import CONFIG, METRICS, OUTCOME, PANEL, PREDICTIONS


class Status(StrEnum):
    """How a trial stands. The order is that of the leaderboard."""

    COMPLETE = "complete"  # it had the full budget
    STOPPED = "stopped"  # the scheduler ended it earlier
    RUNNING = "running"  # it runs, has paused, or was interrupted
    INFEASIBLE = "infeasible"  # one row at a time does not fit into memory
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, and why where that is not its last epoch. `seconds`: trained, pauses left out."""

    status: Status
    reason: str = ""
    seconds: float | None = None


class TrialRecord:
    """The folder of one trial.

    Settings and epochs are read when they are first asked for, and kept; `append` keeps the epochs in step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._outcome: Outcome | None = None

    @property
    def name(self) -> str:
        """The trial's name, which is its folder's."""
        return self.folder.name

    @property
    def exists(self) -> bool:
        """Whether the trial has begun."""
        return (self.folder / CONFIG).exists()

    @cached_property
    def sampled(self) -> dict[str, Any]:
        """The dotted keys that the space fixed or sampled, under today's names."""
        return current_keys(json.loads((self.folder / CONFIG).read_text())["sampled"])

    @cached_property
    def config(self) -> Config:
        """All settings of the trial."""
        return build(self.sampled)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """All settings as the version that began the trial resolved them, by its own names."""
        return dict(json.loads((self.folder / CONFIG).read_text())["resolved"])

    @property
    def epochs(self) -> list[EpochResult]:
        """The result of each epoch so far, in order, without panels."""
        return [result for line in self.lines if isinstance(result := read_report(line), EpochResult)]

    @property
    def last(self) -> EpochResult | None:
        """The result of the last epoch; None before the first."""
        result = read_report(self._last_line) if self._last_line else None
        return result if isinstance(result, EpochResult) else None

    @property
    def num_epochs(self) -> int:
        """How many epochs are on record."""
        return int(self._last_line["epoch"]) if self._last_line else 0

    @property
    def best_epoch(self) -> int:
        """The first one with the best score, whose checkpoint is kept. There must be epochs."""
        scores = [result.score for result in self.epochs]
        return scores.index(max(scores)) + 1

    def predictions(self, split: str) -> Path:
        """The file of what its best epoch says of each row of `val` or `test`: see `search.record.predictions`."""
        return self.folder / PREDICTIONS[split]

    @property
    def panel(self) -> Path:
        """The picture of what its last epoch rebuilt; without the auxiliary task there is none."""
        return self.folder / PANEL

    @property
    def started(self) -> float:
        """When it began or last went on, in seconds since 1970: `begin` writes the settings each time."""
        return (self.folder / CONFIG).stat().st_mtime

    @property
    def seconds(self) -> float:
        """That the trial has trained until its last epoch, pauses left out."""
        return float(self._last_line.get("seconds", 0.0)) if self._last_line else 0.0

    @property
    def span(self) -> tuple[float, float] | None:
        """When it started and when its last epoch ended, in seconds since 1970; None before the first epoch."""
        return (self.lines[0]["time"] - self.lines[0]["seconds"], self.lines[-1]["time"]) if self.lines else None

    @property
    def moments(self) -> list[tuple[float, float]]:
        """When each epoch ended, in seconds since 1970, and the seconds trained until then."""
        return [(float(line["time"]), float(line.get("seconds", 0.0))) for line in self.lines]

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it may go on. It is read until it is there."""
        path = self.folder / OUTCOME
        if self._outcome is None and path.exists():
            written = json.loads(path.read_text())
            self._outcome = Outcome(Status(written["status"]), written["reason"], written.get("seconds"))
        return self._outcome

    @property
    def status(self) -> Status:
        """How it stands."""
        outcome = self.outcome
        return outcome.status if outcome else Status.RUNNING

    @property
    def damage(self) -> str:
        """Which record cannot be read, and what helps, as the end of a sentence; empty where it is whole."""
        try:
            _ = self.config, self.epochs, self.last, self.outcome
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = (str(error).splitlines() or [""])[0][:100]
            return (
                f"{self.folder.parent.name}/{self.name} is damaged ({type(error).__name__}: {why}), so that nothing "
                "here counts it; restore it from a copy, or move it out of the run folder."
            )
        return ""

    def begin(self, sampled: Mapping[str, Any], config: Config) -> TrialRecord:
        """Write down the settings, sampled and resolved; the record of the trial as it begins.

        Of a trial that goes on, a line that a kill has cut is taken away: the next one would be joined to it.
        """
        if (self.folder / METRICS).exists():
            lines = TrialRecord(self.folder).lines
            write_text(self.folder / METRICS, "".join(json.dumps(line) + "\n" for line in lines))
        resolved = {"sampled": dict(sampled), "resolved": config.flat(), "hash": config.hash()}
        write_json(self.folder / CONFIG, resolved)
        return TrialRecord(self.folder)

    def append(self, result: EpochResult, seconds: float) -> None:
        """Add an epoch, whose panel takes the place of the one before. `seconds`: that the trial has trained so far,
        pauses left out.
        """
        if result.panel:  # first: an epoch that is on record is not handed on again
            panel = result.panel
            write_whole(self.panel, lambda temporary: temporary.write_bytes(panel))
        lines = self.lines
        line = {**result.to_json(), "time": round(time.time(), 3), "seconds": round(seconds, 1)}
        append_json_line(self.folder / METRICS, line)
        lines.append(line)

    def end(self, outcome: Outcome) -> None:
        """Write down how it ended."""
        write_json(
            self.folder / OUTCOME,
            {"status": outcome.status.value, "reason": outcome.reason, "seconds": outcome.seconds},
        )
        self._outcome = outcome

    @property
    def _last_line(self) -> dict[str, Any] | None:
        """That of the last epoch, without reading those before: most who ask want no other."""
        if "lines" in self.__dict__:
            return self.lines[-1] if self.lines else None
        return self._read_last_line

    @cached_property
    def _read_last_line(self) -> dict[str, Any] | None:
        path = self.folder / METRICS
        for text in reversed(path.read_text().splitlines() if path.exists() else []):
            with suppress(json.JSONDecodeError):  # a kill has cut the last line
                return dict(json.loads(text))
        return None

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """What is on record of each epoch, in order."""
        path = self.folder / METRICS
        lines = []
        for text in path.read_text().splitlines() if path.exists() else []:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:  # a kill has cut the last line
                break
        return lines
