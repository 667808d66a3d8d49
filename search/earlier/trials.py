"""Trials of an earlier study in terms of a space: which are taken over, in which order, and which are tried first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lssat.errors import ConfigError
from lssat.model import catalog
from search.earlier.agreement import FEWEST
from search.earlier.mapping import Answers, mapped
from search.space.definition import EarlierTrial, Space

ENOUGH = FEWEST + 1
"""Trials that are tried first at least, so that one that fails does not leave open whether a study holds here."""


def taken_over(
    name: str, settings: Mapping[str, Any], best: Sequence[float], epochs_then: int, space: Space
) -> EarlierTrial | str:
    """A trial in terms of the space, or why it is left out. `best`: its best score after each epoch, of `epochs_then`
    that it was to have.
    """
    scores = _at_share(best, epochs_then, space.example().optim.epochs)
    if not scores or not all(map(math.isfinite, scores)):
        return "shorter than the first epoch here"
    found, backbone = mapped(settings, space), space.backbone_parameter
    is_outside = backbone.name not in found.point if backbone else not found.point
    if found.outside and is_outside:
        return f"with {', '.join(sorted(found.outside))} outside this space"
    if not found.outside and (broken := _broken(found.point, space)):
        return f"breaking a rule here ({broken})"
    return EarlierTrial(name, found.point, not found.outside, scores)


def ranked(trials: Iterable[EarlierTrial]) -> list[EarlierTrial]:
    """The best first; those that were stopped come after those that went further."""
    return sorted(trials, key=lambda trial: (-len(trial.scores), -trial.scores[-1]))


def tried_first(trials: Sequence[EarlierTrial], space: Space) -> tuple[str, ...]:
    """Of ranked trials the best of each backbone family; where these are too few to tell whether the study holds here,
    others as well, from the next best to the last.
    """
    backbone = space.backbone_parameter
    best: dict[Any, EarlierTrial] = {}
    for trial in trials:
        best.setdefault(trial.point.get(backbone.name) if backbone else None, trial)
    known = [trial.point for _, trial in space.tried_first]
    chosen = [trial for trial in best.values() if trial.point not in known]
    known += [trial.point for trial in chosen]
    others = {repr(trial.point): trial for trial in reversed(trials) if trial.is_whole and trial.point not in known}
    left = ranked(others.values())
    positions = np.linspace(0, len(left) - 1, min(max(0, ENOUGH - len(chosen)), len(left)))
    return tuple(trial.name for trial in [*chosen, *(left[position] for position in positions.round().astype(int))])


def _at_share(best: Sequence[float], epochs_then: int, epochs: int) -> tuple[float, ...]:
    """The best score at the same share of a run as each epoch here, as far as the earlier trial came."""
    reached = int(len(best) * epochs / epochs_then)
    positions = (max(0, round(epoch * epochs_then / epochs) - 1) for epoch in range(1, reached + 1))
    return tuple(float(best[min(position, len(best) - 1)]) for position in positions)


def _broken(point: Mapping[str, Any], space: Space) -> str:
    """The rule that a whole point breaks."""
    try:
        catalog.architecture(space.config(space.sample(Answers(point))).backbone)
    except ConfigError as error:
        return str(error)
    return ""
