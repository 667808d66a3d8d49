"""Every point of a space, once: what `search.sampler` grid tries, and what `reach` looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lssat.errors import ConfigError


class ScriptedTrial:
    """A trial that answers by a script: of the options it is offered it takes those that `script` numbers, one after
    the other, and the first one wherever the script has ended.

    Afterwards `script` holds the number of every option taken, `num_options` how many there were to take from, and
    `point` the values by Optuna's names.
    """

    def __init__(self, script: Sequence[int]) -> None:
        self.script = list(script)
        self.num_options: list[int] = []
        self.point: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The choice that the script numbers."""
        return self._record(name, choices[self._take(len(choices))])

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The step of the range that the script numbers. Raises ConfigError for a range without a step."""
        if step is None:
            raise ConfigError(
                f"a grid needs choices, or a `step`, for `{name}`; give one, or take `search.sampler` tpe"
            )
        num_steps = int((high - low) / step + 1e-9)  # rounding may leave the quotient a little below a whole number
        return float(self._record(name, low + self._take(num_steps + 1) * step))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The step of the range that the script numbers."""
        return int(self._record(name, low + self._take((high - low) // step + 1) * step))

    def _take(self, num_options: int) -> int:
        position = len(self.num_options)
        self.num_options.append(num_options)
        if position == len(self.script):
            self.script.append(0)
        return self.script[position]

    def _record(self, name: str, value: Any) -> Any:
        self.point[name] = value
        return value


def every_point(
    sample: Callable[[ScriptedTrial], dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every point: its parameters by Optuna's names, and its dotted keys. The parameter that is asked for first changes
    slowest.

    `sample(trial)` asks a trial for the parameters of a point; which ones may depend on the answers. Raises ConfigError
    for a range without a step.
    """
    script: list[int] = []
    while True:
        trial = ScriptedTrial(script)
        sampled = sample(trial)
        yield trial.point, sampled
        # The next script: the last option that is not the last of its kind is followed by the one after it.
        script = trial.script
        while script and script[-1] == trial.num_options[len(script) - 1] - 1:
            script.pop()
        if not script:
            return
        script[-1] += 1
