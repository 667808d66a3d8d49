"""Budgets that end a search cleanly: epochs of all trials, hours on the clock, hours of GPUs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune import Stopper

from lssat.config import build
from search.space.settings import SearchConfig

UNITS = {"max_epochs": "epochs", "max_hours": "hours on the clock of a sitting", "max_gpu_hours": "GPU-hours"}


class Budget(Stopper):  # type: ignore[misc]
    """Counts what trials report; once a budget is spent, Tune ends all trials where they are, and they can be gone on
    with.

    `epochs` and `gpu_hours`: what earlier sessions have spent. Hours on the clock are those of this session alone.
    """

    def __init__(self, search: SearchConfig, epochs: Mapping[str, int], gpu_hours: float) -> None:
        self._limits = {name: limit for name in UNITS if (limit := getattr(search, name)) is not None}
        self._epochs = dict(epochs)
        self._gpu_hours = gpu_hours
        self._began = time.monotonic()
        self._heard: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots what stops a study; nothing reads those snapshots."""
        return {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        name, now = result["config"]["name"], time.monotonic()
        gpus = build(result["config"]["config"]).resources
        self._gpu_hours += (
            (now - self._heard.get(trial_id, now - result.get("time_this_iter_s", 0.0)))
            * gpus.num_workers
            * gpus.gpus_per_worker
            / 3600
        )
        self._heard[trial_id] = now  # a trial that was paused has another id when it goes on
        self._epochs[name] = max(self._epochs.get(name, 0), result.get("epoch", 0))
        return self.spent() is not None and result.get("epoch", 0) == result.get(
            "epochs"
        )  # Tune would end a trial that is over as one that is not

    def stop_all(self) -> bool:
        return self.spent() is not None

    def spent(self) -> str | None:
        """Which budget is spent, in words; None while none is."""
        used = {
            "max_epochs": sum(self._epochs.values()),
            "max_hours": (time.monotonic() - self._began) / 3600,
            "max_gpu_hours": self._gpu_hours,
        }
        return next(
            (
                f"{limit:g} {UNITS[name]} (`search.{name}`)"
                for name, limit in self._limits.items()
                if used[name] >= limit
            ),
            None,
        )


def gpu_hours(trials: Sequence[tuple[Mapping[str, Any], float]]) -> float:
    """Of trials: (resolved settings, seconds)."""
    held = (
        seconds * float(settings["resources.num_workers"] * settings["resources.gpus_per_worker"])
        for settings, seconds in trials
    )
    return sum(held) / 3600
