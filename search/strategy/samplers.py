"""Optuna's samplers by their names, and the points that are tried before any of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from search.space.definition import Space
from search.space.settings import SearchConfig

PUBLISHED: Mapping[str, Any] = {
    "auxiliary": True,
    "aux_weight": 0.9,
    "masking.ratio": 0.75,
    "masking.share": 1.0,
    "streams": "MRGB/RLDP/CRGB",
    "target.encoding": "scaled",
}
"""What SSAT and L-SSAT publish (lambda 0.1 on the classification loss; the texture's codes as they are)."""


def sampler(search: SearchConfig, trial_number: int) -> BaseSampler:
    """Seeded by the study's seed and the number of the trial, so that a resumed study draws what the uninterrupted one
    would have drawn.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[search.sampler](search, search.seed * 100_003 + trial_number)


SAMPLERS: dict[str, Callable[[SearchConfig, int], BaseSampler]] = {
    "tpe": lambda search, seed: TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=search.startup_trials
    ),
    "gp": lambda search, seed: GPSampler(
        seed=seed, n_startup_trials=search.startup_trials, warn_independent_sampling=False
    ),
    "nsga2": lambda search, seed: NSGAIISampler(seed=seed, population_size=max(2, search.startup_trials)),
    "random": lambda search, seed: RandomSampler(seed=seed),
    "grid": lambda search, seed: RandomSampler(seed=seed),  # all that a grid tries is queued
}


def first_points(space: Space) -> list[dict[str, Any]]:
    """By Optuna's names, what is tried first: every point of a grid; otherwise the best of earlier studies, and the
    method as published on each backbone family of which they tell nothing.

    So no family is left out, and a search is never worse than no search. A published number outside the space becomes
    the nearest one in it; what is not published (such as the learning rate) is drawn.
    """
    if space.search.sampler == "grid":
        return space.points()
    backbones = space.backbone_parameter
    points = [dict(trial.point) for _, trial in space.tried_first]
    covered = {point.get(backbones.name) for point in points} if backbones else set()
    left = [{backbones.key: choice} for choice in backbones.choices if choice not in covered] if backbones else [{}]
    for chosen in left if backbones or not points else []:
        trial = _Published({**PUBLISHED, "backbone.name": None, **chosen})  # a name would stand instead of the family
        space.sample(trial)
        points.append(trial.point)
    return points[: space.search.num_trials]


class _Published:
    """A trial that answers what is published, and remembers that alone; what is not published is left to be drawn."""

    def __init__(self, published: Mapping[str, Any]) -> None:
        self._published = published
        self.point: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        key = name.split("@")[0]
        if key not in self._published:
            return choices[0]
        published = self._published[key]
        if published in choices:
            return self._remember(name, published)
        numbers = [choice for choice in choices if isinstance(choice, float)]
        if isinstance(published, float) and numbers:
            return self._remember(name, min(numbers, key=lambda number: abs(number - published)))
        return choices[0]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        key = name.split("@")[0]
        if key not in self._published:
            return low
        value = min(max(self._published[key], low), high)
        return float(self._remember(name, low + round((value - low) / step) * step if step else value))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def _remember(self, name: str, value: Any) -> Any:
        self.point[name] = value
        return value
