"""Interleaved repeats (A/B/A/B): what else the machine does meets all that is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch

FEWEST_ROUNDS = 5


class Ratio(NamedTuple):
    """A ratio of medians, and between which quartiles it lies from round to round."""

    value: float
    low: float
    high: float
    rounds: int


class Times:
    """Seconds of each of several things, round by round."""

    def __init__(self, seconds: Mapping[str, list[float]]) -> None:
        self.seconds = {name: np.array(values) for name, values in seconds.items()}

    def median(self, name: str) -> float:
        return float(np.median(self.seconds[name]))

    def ratio(self, above: str, below: str, factor: float = 1.0) -> Ratio:
        """`factor` times the seconds of one over those of another."""
        each = factor * self.seconds[above] / self.seconds[below]
        low, high = np.quantile(each, (0.25, 0.75))
        return Ratio(factor * self.median(above) / self.median(below), float(low), float(high), len(each))


def interleaved(work: Mapping[str, Callable[[], object]], seconds: float, twice: bool = False) -> Times:
    """Do each in turn, one round to warm up, then as many as the seconds allow, at least FEWEST_ROUNDS.

    `twice`: do each twice and time the second, so that what takes a moment does not pay for memory that the one before
    it gave back.
    """
    measured: dict[str, list[float]] = {name: [] for name in work}
    for each in work.values():
        once(each)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(measured.values()))) < FEWEST_ROUNDS:
        for name, each in work.items():
            if twice:
                each()
            measured[name].append(once(each))
    return Times(measured)


def once(work: Callable[[], object]) -> float:
    """Seconds, until the device has done it."""
    _wait()
    began = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
