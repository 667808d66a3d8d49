"""What a space can draw, looked at through a few keys: all their combinations, without those of the other keys. Imports
neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from lssat.config import ResourcesConfig
from search.space import walk as grid
from search.space.definition import Parameter, Space

PATIENCE = 10_000  # combinations that are looked at; a parameter that is in none of so many counts as drawn


def samples(space: Space, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The dotted keys of a trial for each combination of the choices of some keys; of other keys the first choice or
    the low end.
    """
    return (sampled for _, sampled in grid.walk(_through(space, keys).sample))


def never_drawn(space: Space) -> Parameter | None:
    """A parameter whose conditions never hold together."""
    return next(
        (parameter for parameter in space.parameters if parameter.reads and not _is_drawn(space, parameter)), None
    )


def demands(space: Space) -> list[ResourcesConfig]:
    """What trials may ask of the machines, each once."""
    found: list[ResourcesConfig] = []
    for sampled in samples(space, ("backbone.family", "backbone.size", "backbone.name")):
        demand = ResourcesConfig(
            **{key.removeprefix("resources."): value for key, value in sampled.items() if key.startswith("resources.")}
        )
        if demand not in found:
            found.append(demand)
    return found


def _is_drawn(space: Space, parameter: Parameter) -> bool:
    points = grid.walk(_through(space, parameter.reads).sample)
    return any(parameter.name in point for point, _ in islice(points, PATIENCE)) or next(points, None) is not None


def _through(space: Space, keys: Iterable[str]) -> Space:
    """The space with all choices of some keys and of those whose values decide whether these are drawn; other
    parameters stand at their first value.
    """
    kept = set(keys)
    while more := {key for parameter in space.parameters if parameter.key in kept for key in parameter.reads} - kept:
        kept |= more
    return replace(
        space, parameters=tuple(p if p.choices and p.key in kept else _first_alone(p) for p in space.parameters)
    )


def _first_alone(parameter: Parameter) -> Parameter:
    return replace(parameter, choices=parameter.choices[:1] or (parameter.low,))
