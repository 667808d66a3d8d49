"""Entries of the section `space` -> parameters, and the order in which their conditions can be read. Imports neither
torch nor Ray.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations, groupby
from typing import Any

from lssat.config import Config, check_key, check_value
from lssat.errors import ConfigError
from lssat.model import catalog
from lssat.text.did_you_mean import nearest
from search.space.definition import Parameter, Space, defaults
from search.space.yaml_lines import Document

RANGE_KEYS = {"low", "high", "log", "step"}


def parameters(
    searched: Mapping[str, list[Any]],
    paths: Mapping[str, tuple[str, ...]],
    fixed: Mapping[str, Any],
    document: Document,
) -> list[Parameter]:
    """`searched`: key -> its variants, written at `paths`. Raises ConfigError with file, line, rule and repair."""
    found: list[tuple[Parameter, str]] = []
    for key, variants in searched.items():
        for index, variant in enumerate(variants):
            location = document.location(*paths[key], *([str(index)] if len(variants) > 1 else []))
            found.append((_parameter(key, variant, location, len(variants) > 1), location))
    known = {key: [parameter for parameter, _ in found if parameter.key == key] for key in searched}
    for parameter, location in found:
        for key, values in parameter.when.items():
            _check_condition(parameter, key, values, known, location)
    for (one, _), (other, location) in combinations(found, 2):
        if one.key == other.key and not _exclude_each_other(one, other):
            raise ConfigError(
                f"two entries of `{one.key}` can hold at once; give both a `when` on one key, with different values "
                f"({location})"
            )
    locations = {key: document.location(*paths[key]) for key in searched}
    return _sizes_that_exist([parameter for parameter, _ in found], fixed, locations)


def in_readable_order(space: Space) -> Space:
    """The space with every parameter after those that decide whether it is drawn. Raises ConfigError where they decide
    each other.
    """
    rest, ordered = list(space.parameters), []
    while rest:
        keys = {parameter.key for parameter in rest}
        waiting = {parameter.key for parameter in rest if space.reads(parameter) & keys}
        ready = [parameter for parameter in rest if parameter.key not in waiting]
        if not ready:
            raise ConfigError(
                f"the conditions of {', '.join(sorted(waiting))} wait for each other; delete one of them "
                f"({space.locations[rest[0].key]})"
            )
        ordered += ready
        rest = [parameter for parameter in rest if parameter.key in waiting]
    return replace(space, parameters=tuple(ordered))


def _parameter(key: str, variant: Any, location: str, has_variants: bool) -> Parameter:
    """`[a, b]`, `{choices: [a, b], when: {...}}` or `{low: 1, high: 2, log: on, when: {...}}`."""
    entry = {"choices": variant} if isinstance(variant, list) else variant
    if not isinstance(entry, dict) or not ({"choices"} <= entry.keys() or {"low", "high"} <= entry.keys()):
        raise ConfigError(
            f"`{key}` must be a list of choices, or a mapping with `choices`, or with `low` and `high` ({location})"
        )
    extra = entry.keys() - ({"choices", "when"} if "choices" in entry else RANGE_KEYS | {"when"})
    if extra:
        raise ConfigError(
            f"`{key}` does not know `{min(extra)}`; it takes choices, or low, high, log, step, and when ({location})"
        )
    when = {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in _conditions(entry, key, location).items()
    }
    condition = ",".join(f"{name}={'|'.join(map(str, values))}" for name, values in when.items())
    parameter = Parameter(key, f"{key}@{condition}" if has_variants else key, when)
    if "choices" in entry:
        return replace(parameter, choices=_choices(key, entry["choices"], location))
    return _range(parameter, entry, location)


def _choices(key: str, choices: Any, location: str) -> tuple[Any, ...]:
    if not isinstance(choices, list) or not choices:
        raise ConfigError(f"`{key}` needs at least one choice, in a list ({location})")
    for choice in choices:
        check_value(key, choice, location)
        if isinstance(choice, list | dict):
            raise ConfigError(f"`{key}` cannot be searched: its values are lists; fix it ({location})")
        if key == "backbone.size" and choice not in catalog.SIZES:
            raise ConfigError(f"unknown size `{choice}`; {nearest(choice, catalog.SIZES)} ({location})")
    if len(set(choices)) < len(choices):
        raise ConfigError(f"`{key}` names a choice twice; delete one ({location})")
    return tuple(choices)


def _range(parameter: Parameter, entry: Mapping[str, Any], location: str) -> Parameter:
    """The parameter with the range of an entry. Raises ConfigError."""
    key, low, high, log = parameter.key, entry["low"], entry["high"], entry.get("log", False)
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ConfigError(f"`{key}` needs numbers as low and high, but got {bound!r} ({location})")
        check_value(key, bound, location)
    if not low < high:
        raise ConfigError(f"`low < high` must hold for `{key}`, but got {low} and {high} ({location})")
    if not isinstance(log, bool) or (log and low <= 0):
        raise ConfigError(
            f"`{key}`: log is on or off, and a log range must lie above 0, but got log: {log}, low: {low} ({location})"
        )
    kind = int if _is_integer(key) else float
    found = replace(parameter, low=kind(low), high=kind(high), log=log)
    step = entry.get("step")
    if step is None:
        return found
    is_number = not isinstance(step, bool) and isinstance(step, int | float)
    if log or not is_number or not 0 < step < math.inf or step != kind(step):
        wanted = "integer" if kind is int else "number"
        raise ConfigError(
            f"`{key}`: step must be a positive {wanted} and does not go with log, but got {step!r} ({location})"
        )
    _check_step(key, low, high, step, location)
    return replace(found, step=kind(step))


def _check_step(key: str, low: float, high: float, step: float, location: str) -> None:
    steps = (high - low) / step
    if abs(steps - round(steps)) > 1e-6:
        fitting = low + math.floor(steps) * step
        repair = f"take high: {fitting:g}" if fitting > low else "take a smaller step"
        raise ConfigError(
            f"`{key}`: a whole number of steps must lead from low to high, but {high - low:g} / {step:g} is "
            f"{steps:g}; {repair} ({location})"
        )


def _is_integer(key: str) -> bool:
    """Whether a setting takes integers only: then its own check refuses 1.5."""
    try:
        check_value(key, 1.5)
    except ConfigError as error:
        return "integer" in str(error)
    return False


def _conditions(entry: Mapping[str, Any], key: str, location: str) -> Mapping[str, Any]:
    when = entry.get("when", {})
    if not isinstance(when, dict):
        raise ConfigError(f"`when` of `{key}` must be a mapping of keys to values ({location})")
    return when


def _check_condition(
    parameter: Parameter, key: str, values: tuple[Any, ...], known: Mapping[str, list[Parameter]], location: str
) -> None:
    """Refuse a condition that cannot hold, or that cannot be read. Raises ConfigError."""
    check_key(key, location)
    if key == parameter.key:
        raise ConfigError(f"`{key}` cannot be a condition of itself ({location})")
    if not values:
        raise ConfigError(
            f"`{parameter.key}` waits for no value of `{key}`, so it is never drawn; name its values, or delete the "
            f"condition ({location})"
        )
    variants = known.get(key, [])
    if any(not other.choices for other in variants):
        raise ConfigError(
            f"`{parameter.key}` waits for `{key}`, which is a range; give `{key}` as choices, or delete the condition "
            f"({location})"
        )
    offered = [choice for other in variants for choice in other.choices]
    if variants and any(other.when for other in variants):  # where it is not drawn it stands at its default
        offered.append(defaults()[key])
    for value in values:
        check_value(key, value, location)
        if isinstance(value, list | dict):
            raise ConfigError(
                f"`{parameter.key}` cannot wait for `{key}`, whose values are lists; delete the condition ({location})"
            )
        if offered and value not in offered:
            raise ConfigError(
                f"`{parameter.key}` waits for `{key}: {value}`, which is none of its choices {offered} ({location})"
            )


def _exclude_each_other(one: Parameter, other: Parameter) -> bool:
    """Whether some key must have different values for the two."""
    return any(key in other.when and not set(values) & set(other.when[key]) for key, values in one.when.items())


def _sizes_that_exist(
    found: list[Parameter], fixed: Mapping[str, Any], locations: Mapping[str, str]
) -> list[Parameter]:
    """Split `backbone.size` by the sizes that each family has, so that no trial asks for one that its family lacks."""
    if "backbone.name" in fixed:
        return found
    searched = [choice for parameter in found if parameter.key == "backbone.family" for choice in parameter.choices]
    families = tuple(dict.fromkeys(searched)) or (fixed.get("backbone.family", Config().backbone.family),)
    location = locations.get("backbone.family", locations.get("backbone.size", ""))
    offered = {family: _sizes_of(family, location) for family in families}
    result = []
    for parameter in found:
        split = _split_by_family(parameter, offered, location) if parameter.key == "backbone.size" else []
        # Nothing is left where no family of the space meets the condition; that is refused later, as never drawn.
        result += split or [parameter]
    return result


def _split_by_family(parameter: Parameter, offered: Mapping[str, list[str]], location: str) -> list[Parameter]:
    """One parameter for each group of families that have the same of the wanted sizes. `offered`: family -> sizes."""
    wanted = {
        family: tuple(size for size in parameter.choices if size in sizes)
        for family, sizes in offered.items()
        if family in parameter.when.get("backbone.family", offered)
    }
    for family, sizes in wanted.items():
        if not sizes:
            raise ConfigError(
                f"family `{family}` has none of the sizes {list(parameter.choices)}; it has "
                f"{', '.join(offered[family])} ({location})"
            )
    result = []
    by_sizes = sorted(wanted, key=lambda family: (wanted[family], family))
    for sizes, group in groupby(by_sizes, key=lambda family: wanted[family]):
        members = tuple(group)
        if len(members) == len(offered):  # every family of the space has the same sizes: no condition is needed
            when = {key: values for key, values in parameter.when.items() if key != "backbone.family"}
            return [replace(parameter, when=when, choices=sizes)]
        name = parameter.name if len(members) == len(wanted) else f"{parameter.name}@{'|'.join(members)}"
        when = {**parameter.when, "backbone.family": members}
        result.append(replace(parameter, name=name, when=when, choices=sizes))
    return result


def _sizes_of(family: str, location: str) -> list[str]:
    catalogue = catalog.read()
    if family not in catalogue:
        at = f" ({location})" if location else ""
        raise ConfigError(f"unknown backbone family `{family}`; {nearest(family, catalogue)}{at}")
    return list(catalogue[family])
