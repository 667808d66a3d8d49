"""Entries of the section `space` -> parameters, in an order in which their conditions can be read. Imports neither
torch nor Ray.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, groupby
from typing import Any

from lssat.config import Config, ConfigError, check_key, check_value
from lssat.model import catalog
from lssat.nearest import nearest
from search.space.definition import Parameter
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
            place = document.place(*paths[key], *([str(index)] if len(variants) > 1 else []))
            found.append((_parameter(key, variant, place, len(variants) > 1), place))
    known = {key: [parameter for parameter, _ in found if parameter.key == key] for key in searched}
    for parameter, place in found:
        for key, values in parameter.when.items():
            _check_condition(parameter, key, values, known, place)
    for (one, _), (other, place) in combinations(found, 2):
        if one.key == other.key and not any(
            key in other.when and not set(values) & set(other.when[key]) for key, values in one.when.items()
        ):
            raise ConfigError(
                f"two entries of `{one.key}` can hold at once; give both a `when` on one key, with different values "
                f"({place})"
            )
    places = {key: document.place(*paths[key]) for key in searched}
    return _ordered(_sizes_that_exist([parameter for parameter, _ in found], fixed, places), places)


def _parameter(key: str, variant: Any, place: str, several: bool) -> Parameter:
    """`[a, b]`, `{choices: [a, b], when: {...}}` or `{low: 1, high: 2, log: on, when: {...}}`."""
    entry = {"choices": variant} if isinstance(variant, list) else variant
    if not isinstance(entry, dict) or not ({"choices"} <= entry.keys() or {"low", "high"} <= entry.keys()):
        raise ConfigError(
            f"`{key}` must be a list of choices, or a mapping with `choices`, or with `low` and `high` ({place})"
        )
    extra = entry.keys() - ({"choices", "when"} if "choices" in entry else RANGE_KEYS | {"when"})
    if extra:
        raise ConfigError(
            f"`{key}` does not know `{sorted(extra)[0]}`; it takes choices, or low, high, log, step, and when ({place})"
        )
    when = {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in _conditions(entry, key, place).items()
    }
    name = key if not several else key + "@" + ",".join(f"{k}={'|'.join(map(str, v))}" for k, v in when.items())
    if "choices" in entry:
        return Parameter(key, name, when, choices=_choices(key, entry["choices"], place))
    return _range(key, name, when, entry, place)


def _choices(key: str, choices: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(choices, list) or not choices:
        raise ConfigError(f"`{key}` needs at least one choice, in a list ({place})")
    for choice in choices:
        check_value(key, choice, place)
        if isinstance(choice, list | dict):
            raise ConfigError(f"`{key}` cannot be searched: its values are lists; fix it ({place})")
        if key == "backbone.size" and choice not in catalog.SIZES:
            raise ConfigError(f"unknown size `{choice}`; {nearest(choice, catalog.SIZES)} ({place})")
    if len(set(choices)) < len(choices):
        raise ConfigError(f"`{key}` names a choice twice; delete one ({place})")
    return tuple(choices)


def _range(key: str, name: str, when: Mapping[str, tuple[Any, ...]], entry: Mapping[str, Any], place: str) -> Parameter:
    low, high, log, step = entry["low"], entry["high"], entry.get("log", False), entry.get("step")
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ConfigError(f"`{key}` needs numbers as low and high, but got {bound!r} ({place})")
        check_value(key, bound, place)
    if not low < high:
        raise ConfigError(f"`low < high` must hold for `{key}`, but got {low} and {high} ({place})")
    if not isinstance(log, bool) or (log and low <= 0):
        raise ConfigError(
            f"`{key}`: log is on or off, and a log range must lie above 0, but got log: {log}, low: {low} ({place})"
        )
    number = int if _is_integer(key) else float
    if step is not None:
        if (
            log
            or isinstance(step, bool)
            or not isinstance(step, int | float)
            or not (0 < step < math.inf)
            or step != number(step)
        ):
            kind = "integer" if number is int else "number"
            raise ConfigError(
                f"`{key}`: step must be a positive {kind} and does not go with log, but got {step!r} ({place})"
            )
        _check_step(key, low, high, step, place)
    return Parameter(
        key, name, when, low=number(low), high=number(high), log=log, step=step if step is None else number(step)
    )


def _check_step(key: str, low: float, high: float, step: float, place: str) -> None:
    steps = (high - low) / step
    if abs(steps - round(steps)) > 1e-6:
        fitting = low + math.floor(steps) * step
        repair = f"take high: {fitting:g}" if fitting > low else "take a smaller step"
        raise ConfigError(
            f"`{key}`: a whole number of steps must lead from low to high, but {high - low:g} / {step:g} is "
            f"{steps:g}; {repair} ({place})"
        )


def _is_integer(key: str) -> bool:
    try:
        check_value(key, 1.5)
    except ConfigError as error:
        return "integer" in str(error)
    return False


def _conditions(entry: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    when = entry.get("when", {})
    if not isinstance(when, dict):
        raise ConfigError(f"`when` of `{key}` must be a mapping of keys to values ({place})")
    return when


def _check_condition(
    parameter: Parameter, key: str, values: tuple[Any, ...], known: Mapping[str, list[Parameter]], place: str
) -> None:
    check_key(key, place)
    if key == parameter.key:
        raise ConfigError(f"`{key}` cannot be a condition of itself ({place})")
    if not values:
        raise ConfigError(
            f"`{parameter.key}` waits for no value of `{key}`, so it is never drawn; name its values, or delete the "
            f"condition ({place})"
        )
    variants = known.get(key, [])
    if any(not other.choices for other in variants):
        raise ConfigError(
            f"`{parameter.key}` waits for `{key}`, which is a range; give `{key}` as choices, or delete the condition "
            f"({place})"
        )
    offered = [choice for other in variants for choice in other.choices]
    if variants and any(other.when for other in variants):  # where it is not drawn it stands at its default
        offered.append(Config().flat()[key])
    for value in values:
        check_value(key, value, place)
        if isinstance(value, list | dict):
            raise ConfigError(
                f"`{parameter.key}` cannot wait for `{key}`, whose values are lists; delete the condition ({place})"
            )
        if offered and value not in offered:
            raise ConfigError(
                f"`{parameter.key}` waits for `{key}: {value}`, which is none of its choices {offered} ({place})"
            )


def _sizes_that_exist(found: list[Parameter], fixed: Mapping[str, Any], places: Mapping[str, str]) -> list[Parameter]:
    """Split `backbone.size` by what the families have, so that no trial asks for a size that its family lacks."""
    if "backbone.name" in fixed:
        return found
    searched = [choice for parameter in found if parameter.key == "backbone.family" for choice in parameter.choices]
    place = places.get("backbone.family", places.get("backbone.size", ""))
    families = tuple(dict.fromkeys(searched)) or (fixed.get("backbone.family", Config().backbone.family),)
    offered = {family: _sizes_of(family, place) for family in families}
    result = []
    for parameter in found:
        split = list(_by_family(parameter, families, offered, place)) if parameter.key == "backbone.size" else []
        result += split or [parameter]  # none: no family of the space meets its condition, which is said elsewhere
    return result


def _by_family(
    parameter: Parameter, families: tuple[str, ...], offered: Mapping[str, list[str]], place: str
) -> list[Parameter]:
    wanted = {
        f: tuple(size for size in parameter.choices if size in offered[f])
        for f in families
        if f in parameter.when.get("backbone.family", families)
    }
    for family, sizes in wanted.items():
        if not sizes:
            raise ConfigError(
                f"family `{family}` has none of the sizes {list(parameter.choices)}; it has "
                f"{', '.join(offered[family])} ({place})"
            )
    by_sizes = sorted(wanted, key=lambda family: (wanted[family], family))
    result = []
    for sizes, group in groupby(by_sizes, key=lambda family: wanted[family]):
        members = tuple(group)
        if len(members) == len(families):  # all alike: no condition
            return [
                Parameter(
                    "backbone.size",
                    parameter.name,
                    {k: v for k, v in parameter.when.items() if k != "backbone.family"},
                    choices=sizes,
                )
            ]
        name = parameter.name if len(members) == len(wanted) else f"{parameter.name}@{'|'.join(members)}"
        result.append(Parameter("backbone.size", name, {**parameter.when, "backbone.family": members}, choices=sizes))
    return result


def _sizes_of(family: str, place: str) -> list[str]:
    catalogue = catalog.read()
    if family not in catalogue:
        raise ConfigError(
            f"unknown backbone family `{family}`; {nearest(family, catalogue)}{f' ({place})' if place else ''}"
        )
    return list(catalogue[family])


def _ordered(found: list[Parameter], places: Mapping[str, str]) -> list[Parameter]:
    """Every key after the keys that its conditions read."""
    rest, ordered = list(found), []
    while rest:
        waiting = {p.key for p in rest if p.reads & {q.key for q in rest}}
        ready = [p for p in rest if p.key not in waiting]
        if not ready:
            raise ConfigError(
                f"the conditions of {', '.join(sorted(waiting))} wait for each other; delete one of them "
                f"({places[rest[0].key]})"
            )
        ordered += ready
        rest = [p for p in rest if p.key in waiting]
    return ordered
