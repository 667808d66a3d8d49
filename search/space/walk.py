"""Every point of a space, once: what `sampler: grid` tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lssat.config import ConfigError


class Walk:
    """A trial that takes the options that `path` numbers, then always the first, and remembers what it was offered and
    what it took.
    """

    def __init__(self, path: Sequence[int]) -> None:
        self._path = path
        self.taken: list[int] = []
        self.offered: list[int] = []
        self.point: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._note(name, choices[self._take(len(choices))])

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is None:
            raise ConfigError(
                f"a grid needs choices, or a `step`, for `{name}`; give one, or take `search.sampler` tpe"
            )
        return float(self._note(name, low + self._take(int((high - low) / step + 1e-9) + 1) * step))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._note(name, low + self._take((high - low) // step + 1) * step))

    def _take(self, options: int) -> int:
        position = len(self.taken)
        index = self._path[position] if position < len(self._path) else 0
        self.taken.append(index)
        self.offered.append(options)
        return index

    def _note(self, name: str, value: Any) -> Any:
        self.point[name] = value
        return value


def walk(sample: Callable[[Walk], dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every point: its parameters by Optuna's names, and its dotted keys; the parameter that is asked for first changes
    slowest.

    `sample(trial)` asks a trial for the parameters of a point; which ones may depend on the answers. Raises ConfigError
    for a range without a step.
    """
    path: list[int] = []
    while True:
        trial = Walk(path)
        sampled = sample(trial)
        yield trial.point, sampled
        path = trial.taken
        while path and path[-1] == trial.offered[len(path) - 1] - 1:
            path.pop()
        if not path:
            return
        path[-1] += 1
