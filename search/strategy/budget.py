"""Budgets that end a search cleanly: epochs of all trials, hours on the clock, hours of GPUs; and patience."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from optuna.trial import FrozenTrial, TrialState

from lssat.settings.training import ResourcesConfig
from lssat.train.result import EpochResult
from search.record.trials import Outcome, TrialRecord
from search.space.settings import SearchConfig
from search.strategy.suggestion import Suggestion

UNITS = {"max_epochs": "epochs", "max_hours": "hours on the clock of a session", "max_gpu_hours": "GPU-hours"}


class Budget:
    """Counts what trials use; once a budget is spent, all trials end where they are, and they can go on later.

    `records`: of the trials so far. `seconds`: that a trial, by its name, has trained, pauses left out. Hours on the
    clock are those of this session alone.
    """

    def __init__(self, search: SearchConfig, records: Iterable[TrialRecord], seconds: Callable[[str], float]) -> None:
        self._limits = {name: limit for name in UNITS if (limit := getattr(search, name)) is not None}
        self._seconds = seconds
        self._began = time.monotonic()
        self._counted: dict[str, tuple[int, float]] = {}  # by name: epochs, hours of GPUs
        self._epochs, self._gpu_hours = 0, 0.0  # of all
        for record in records if self._limits.keys() - {"max_hours"} else ():
            trained = (record.outcome and record.outcome.seconds) or record.seconds
            self._count(record.name, record.num_epochs, trained, record.config.resources)

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Count an epoch, and the time until it ended."""
        self._count(suggestion.name, result.epoch, self._seconds(suggestion.name), suggestion.config.resources)

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Count the time of a trial that failed, too: it has held its GPUs."""
        num_epochs = last.epoch if last else 0
        self._count(suggestion.name, num_epochs, self._seconds(suggestion.name), suggestion.config.resources)

    def is_spent(self) -> bool:
        """Whether the search ends now."""
        return self.spent() is not None

    def spent(self) -> str | None:
        """Which budget is spent, in words; None while none is."""
        used = {
            "max_epochs": self._epochs,
            "max_hours": (time.monotonic() - self._began) / 3600,
            "max_gpu_hours": self._gpu_hours,
        }
        spent = (name for name, limit in self._limits.items() if used[name] >= limit)
        return next((f"{self._limits[name]:g} {UNITS[name]} (`search.{name}`)" for name in spent), None)

    def seconds_left(self) -> float:
        """That the budget of hours on the clock leaves to this session."""
        hours = float(self._limits.get("max_hours", math.inf))
        return max(0.0, hours * 3600 - (time.monotonic() - self._began))

    def _count(self, name: str, epochs: int, seconds: float, resources: ResourcesConfig) -> None:
        gpu_hours = seconds * resources.num_workers * resources.gpus_per_worker / 3600
        epochs_before, gpu_hours_before = self._counted.get(name, (0, 0.0))
        self._counted[name] = epochs, gpu_hours
        self._epochs += epochs - epochs_before
        self._gpu_hours += gpu_hours - gpu_hours_before


class Patience:
    """Counts the trials, in the order in which they end, since one was better than all before by
    `search.min_improvement`.
    """

    def __init__(self, search: SearchConfig) -> None:
        self._search = search
        self._best = -math.inf
        self._num_without = 0

    def add(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        score = trial.values[0] if trial.state == TrialState.COMPLETE else -math.inf
        self._num_without = 0 if score > self._best + self._search.min_improvement else self._num_without + 1
        self._best = max(self._best, score)

    @property
    def is_spent(self) -> bool:
        """Whether `search.patience` trials in a row brought nothing better."""
        return self._search.patience is not None and self._num_without >= self._search.patience
