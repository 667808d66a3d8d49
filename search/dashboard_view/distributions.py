"""One of Optuna's distributions for each searched key, whatever the conditions under which it is drawn.

The study that is searched has one for each condition, since Optuna wants the same for all trials of a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.space.definition import Parameter, Space


def distributions(space: Space, samples: Iterable[Mapping[str, Any]]) -> dict[str, BaseDistribution]:
    """Searched key -> what holds all that it can be, and all that it was in these trials."""
    drawn: dict[str, dict[Any, None]] = {key: {} for key in space.searched_keys}
    for sampled in samples:
        for key in drawn.keys() & sampled.keys():
            drawn[key][sampled[key]] = None
    return {key: _union([p for p in space.parameters if p.key == key], list(values)) for key, values in drawn.items()}


def _union(parameters: Sequence[Parameter], drawn: Sequence[Any]) -> BaseDistribution:
    """The choices of all in their order; or the widest range, logarithmic where all are, in steps where all have the
    same. Ranges beside choices that are no numbers become choices of what was drawn.
    """
    choices = [*chain.from_iterable(parameter.choices for parameter in parameters), *drawn]
    ranges = [parameter for parameter in parameters if not parameter.choices]
    if not ranges or not all(map(_is_number, choices)):
        return CategoricalDistribution(tuple(dict.fromkeys(choices)))
    values = [*choices, *(bound for each in ranges for bound in (each.low, each.high))]
    low, high = min(values), max(values)
    log = low > 0 and all(each.log for each in ranges)
    same = {(each.low, each.high, each.step) for each in ranges} == {(low, high, ranges[0].step)}
    step = ranges[0].step if same and len(ranges) == len(parameters) else None
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
