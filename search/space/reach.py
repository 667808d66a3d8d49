"""What a space can draw, looked at through a few keys: all their combinations, without those of the other keys. Imports
neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from lssat.config import Config, ResourcesConfig
from search.space.definition import Parameter, Space
from search.space.walk import every_point

MOST_COMBINATIONS = 10_000
"""That are looked at; a parameter that is in none of so many counts as drawn."""
BACKBONE_KEYS = (
    "backbone.family",
    "backbone.size",
    "backbone.name",
    "backbone.patch_size",
    "backbone.pretrained",
    "head.pooling",
    "masking.mode",
    "auxiliary",
)
"""What decides which encoder is built."""


def combinations(space: Space, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The dotted keys of a trial for each combination of the choices of some keys; of other keys the first choice or
    the low end.
    """
    return (sampled for _, sampled in every_point(_narrowed(space, keys).sample))


def never_drawn(space: Space) -> Parameter | None:
    """A parameter whose conditions never hold together."""
    return next(
        (parameter for parameter in space.parameters if parameter.reads and not _is_drawn(space, parameter)), None
    )


def backbone_configs(space: Space) -> Iterator[Config]:
    """A configuration for each combination of the choices that decide what is built; of other keys the first choice or
    the low end. Raises ConfigError.
    """
    return map(space.config, combinations(space, BACKBONE_KEYS))


def demands(space: Space) -> list[ResourcesConfig]:
    """What trials may ask of the machines, each once."""
    found: list[ResourcesConfig] = []
    for sampled in combinations(space, ("backbone.family", "backbone.size", "backbone.name")):
        asked = {
            key.removeprefix("resources."): value for key, value in sampled.items() if key.startswith("resources.")
        }
        demand = ResourcesConfig(**asked)
        if demand not in found:
            found.append(demand)
    return found


def _is_drawn(space: Space, parameter: Parameter) -> bool:
    points = every_point(_narrowed(space, parameter.reads).sample)
    seen = any(parameter.name in point for point, _ in islice(points, MOST_COMBINATIONS))
    return seen or next(points, None) is not None


def _narrowed(space: Space, keys: Iterable[str]) -> Space:
    """The space with all choices of some keys and of those whose values decide whether these are drawn; other
    parameters have their first value alone.
    """
    kept = set(keys)
    while more := {key for parameter in space.parameters if parameter.key in kept for key in parameter.reads} - kept:
        kept |= more
    return replace(
        space,
        parameters=tuple(
            parameter if parameter.choices and parameter.key in kept else _first_value_alone(parameter)
            for parameter in space.parameters
        ),
    )


def _first_value_alone(parameter: Parameter) -> Parameter:
    return replace(parameter, choices=parameter.choices[:1] or (parameter.low,))
