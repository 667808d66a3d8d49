"""What a space can draw, looked at through a few keys: all their combinations, without those of the other keys. Imports
neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from lssat.config import Config
from lssat.model import catalog
from lssat.settings.training import ResourcesConfig
from search.space.definition import Parameter, Space, defaults
from search.space.grid import every_point

MOST_COMBINATIONS = 10_000
"""That are looked at; a parameter that is in none of so many counts as drawn."""
ENCODER_KEYS = (
    "backbone.family",
    "backbone.size",
    "backbone.name",
    "backbone.patch_size",
    "backbone.pretrained",
    "head.pooling",
    "masking.mode",
    "masking.unit",
)
"""What decides which encoder is built and how many cells its mask has, beside whether the auxiliary task is trained."""
MOST_INTEGERS = 1_000
"""Of a range of integers that are looked at; of a longer one both ends alone."""


def combinations(space: Space, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The dotted keys of a trial for each combination of the choices of some keys; of other keys the first choice or
    the low end.
    """
    return (sampled for _, sampled in every_point(_narrowed(space, keys).sample))


def never_drawn(space: Space) -> Parameter | None:
    """A parameter whose conditions never hold together."""
    conditional = (parameter for parameter in space.parameters if space.reads(parameter))
    return next((parameter for parameter in conditional if not _is_drawn(space, parameter)), None)


def backbones(space: Space) -> list[tuple[Config, tuple[float | None, ...]]]:
    """A configuration for each encoder that a space can build, with every `masking.ratio` that it can be masked with.

    The ratios are all choices, or both ends of a range, as a rule about the hidden share that holds at both ends holds
    between them; there is none where the auxiliary task is not trained. Raises ConfigError for a configuration that
    breaks a rule.
    """
    configs: dict[tuple[Any, ...], Config] = {}
    ratios: dict[tuple[Any, ...], dict[float | None, None]] = {}
    keys = {*ENCODER_KEYS, "auxiliary", "aux_weight", "masking.ratio"}
    for _, sampled in every_point(_narrowed(space, keys, with_ranges=True).sample):
        resolved = {**defaults(), **sampled}
        is_masked = resolved["auxiliary"] and resolved["aux_weight"] > 0
        encoder = (*(resolved[key] for key in ENCODER_KEYS), is_masked)
        if encoder not in configs:
            configs[encoder] = space.config(sampled)
        if is_masked:
            ratios.setdefault(encoder, {})[resolved["masking.ratio"]] = None
    return [(config, tuple(ratios.get(encoder, ()))) for encoder, config in configs.items()]


def architectures(space: Space) -> dict[str, Config]:
    """A configuration for each backbone that a space can draw, by its name. Raises ConfigError as `backbones` does."""
    found: dict[str, Config] = {}
    for config, _ in backbones(space):
        found.setdefault(catalog.architecture(config.backbone), config)
    return found


def tunings(space: Space) -> list[Config]:
    """A configuration for each `optim.tune` that a space can draw with each backbone."""
    found: dict[tuple[str, str], Config] = {}
    for sampled in combinations(space, ("backbone.family", "backbone.size", "backbone.name", "optim.tune")):
        config = space.config(sampled)
        found.setdefault((catalog.architecture(config.backbone), config.optim.tune), config)
    return list(found.values())


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
    points = every_point(_narrowed(space, space.reads(parameter)).sample)
    seen = any(parameter.name in point for point, _ in islice(points, MOST_COMBINATIONS))
    return seen or next(points, None) is not None


def _narrowed(space: Space, keys: Iterable[str], with_ranges: bool = False) -> Space:
    """The space with all choices of some keys and of those whose values decide whether these are drawn; other
    parameters have their first value alone, and so have ranges, unless they are wanted as well.
    """
    kept = _with_deciding_keys(space, keys)

    def values(parameter: Parameter) -> tuple[Any, ...]:
        if parameter.key not in kept or not (parameter.choices or with_ranges):
            return parameter.choices[:1] or (parameter.low,)
        return parameter.choices or _values_of_range(parameter)

    return replace(space, parameters=tuple(replace(p, choices=values(p)) for p in space.parameters))


def _with_deciding_keys(space: Space, keys: Iterable[str]) -> set[str]:
    """Some keys and those that decide whether they are drawn, directly or through others."""
    found: set[str] = set()
    added = set(keys)
    while added:
        found |= added
        added = {key for parameter in space.parameters if parameter.key in added for key in space.reads(parameter)}
        added -= found
    return found


def _values_of_range(parameter: Parameter) -> tuple[Any, ...]:
    """All integers of a range, for one of them may break a rule that both ends keep; otherwise both ends."""
    if isinstance(parameter.low, int) and isinstance(parameter.high, int):
        integers = range(parameter.low, parameter.high + 1, int(parameter.step or 1))
        if len(integers) <= MOST_INTEGERS:
            return tuple(integers)
    return (parameter.low, parameter.high)
