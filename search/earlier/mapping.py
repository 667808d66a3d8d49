"""The settings of an earlier trial -> a point of a space, as far as the space holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lssat.config import Config
from lssat.model import catalog
from search.space.definition import Parameter, Space, defaults


@dataclass(frozen=True)
class Mapped:
    """`point`: values by Optuna's names. `outside`: searched key -> value that the space does not hold; a key that
    waits for one of them is not drawn from the earlier trial either.
    """

    point: Mapping[str, Any]
    outside: Mapping[str, Any]


def settings_of(config: Config) -> dict[str, Any]:
    """All settings of a trial by their keys; its backbone is known by its name and by family and size, as a space may
    search either.
    """
    flat: dict[str, Any] = config.flat()
    name = catalog.architecture(config.backbone)
    for family, sizes in catalog.read().items():
        for size, entry in sizes.items():
            if entry["name"] == flat["backbone.name"]:
                flat |= {"backbone.family": family, "backbone.size": size}
    return {**flat, "backbone.name": name}


def mapped(settings: Mapping[str, Any], space: Space) -> Mapped:
    """The searched keys of the space with the values of a trial; what is fixed there stays as it is there."""
    resolved = {**defaults(), **space.fixed}
    point: dict[str, Any] = {}
    outside: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.reads(parameter) & outside.keys():
            outside.setdefault(parameter.key, None)
        elif parameter.applies(resolved):
            value = settings.get(parameter.key)
            if holds(parameter, value):
                point[parameter.name] = resolved[parameter.key] = value
            else:
                outside[parameter.key] = value
    return Mapped(point, outside)


class Answers:
    """A trial that answers the values of a whole point."""

    def __init__(self, point: Mapping[str, Any]) -> None:
        self._point = point

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The point's."""
        return self._point[name]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The point's."""
        return float(self._point[name])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The point's."""
        return int(self._point[name])


def holds(parameter: Parameter, value: Any) -> bool:
    """Whether a parameter can be that value: one of its choices, on and off being no numbers; or in its range, and on
    one of its steps.
    """
    if parameter.choices:
        is_bool = isinstance(value, bool)
        return any(value == choice and is_bool == isinstance(choice, bool) for choice in parameter.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or not parameter.low <= value <= parameter.high:
        return False
    steps = (value - parameter.low) / parameter.step if parameter.step else 0.0
    return abs(steps - round(steps)) < 1e-6
