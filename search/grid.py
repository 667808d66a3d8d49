"""Every point of a space, once: what `sampler: grid` tries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lssat.config import ConfigError


class Walk:
    """A trial that takes the options that `path` numbers, then always the first, and remembers what it was offered and what it took."""

    def __init__(self, path: Sequence[int]) -> None:
        self._path = path
        self.taken: list[int] = []
        self.offered: list[int] = []
        self.point: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, choices)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        if step is None:
            raise ConfigError(f"a grid needs choices, or a `step`, for `{name}`; give one, or take `search.sampler` tpe")
        return float(self._take(name, [low + index * step for index in range(int((high - low) / step + 1e-9) + 1)]))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._take(name, range(low, high + 1, step)))

    def _take(self, name: str, options: Sequence[Any]) -> Any:
        position = len(self.taken)
        index = self._path[position] if position < len(self._path) else 0
        self.taken.append(index)
        self.offered.append(len(options))
        self.point[name] = options[index]
        return options[index]


def points(sample: Any) -> Iterator[dict[str, Any]]:
    """The parameters of every point, by Optuna's names; the parameter that is asked for first changes slowest.

    `sample(trial)` asks a trial for the parameters of a point; which ones may depend on the answers. Raises ConfigError for a range without a step.
    """
    path: list[int] = []
    while True:
        walk = Walk(path)
        sample(walk)
        yield walk.point
        path = walk.taken
        while path and path[-1] == walk.offered[len(path) - 1] - 1:
            path.pop()
        if not path:
            return
        path[-1] += 1
