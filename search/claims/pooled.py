"""What the texture does to the score: for each backbone, over all of them, and whether it does the same to each.

The backbones are those of the study and no sample of others: pooled is the mean over just these. All statements
together hold in 95% of studies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

from search.claims.critical import LEVEL
from search.claims.estimate import NOTHING, Estimate, estimate, satterthwaite
from search.claims.runs import Array, Runs
from search.claims.squares import squares
from search.claims.words import MARGIN, NO_SPREAD

ALL = "all of them"
Pairs = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Backbone -> its arms with the texture, and those without; of several their mean counts."""


class Help(StrEnum):
    """What is said of a texture."""

    HELPS = "helps"
    HARMS = "harms"
    EQUIVALENT = "equivalent"
    UNTOLD = "cannot be told"


@dataclass(frozen=True)
class Effect:
    """The difference that the texture makes; `low` and `high` bound it, NaN where nothing is known of it."""

    backbone: str
    difference: float
    low: float
    high: float
    word: Help


@dataclass(frozen=True)
class Texture:
    """`each`: of each backbone. `pooled`: of all; None where there is one backbone. `differs`: whether the backbones
    are told to differ in it. `why`: what stands in the way of intervals, in words.
    """

    each: list[Effect]
    pooled: Effect | None
    differs: bool
    why: str


def texture(runs: Runs, pairs: Pairs, among: int = 0, margin: float = MARGIN) -> Texture:
    """The effects. `among`: of how many candidates the arms with the texture were picked by their scores on these
    units; the luckiest of many looks better than it is.
    """
    found = estimate(runs)
    count = len(pairs)
    sides = [_contrast(found, *each) for each in pairs.values()]
    part = LEVEL if count == 1 else LEVEL / 2 / (count + 1)  # one half for the pooled effect, one for the others
    of_one, of_all = min(part, LEVEL / max(among, 1)), min(LEVEL / 2, LEVEL / max(among, 1))
    each = [_effect(found, name, contrast, margin, of_one) for name, contrast in zip(pairs, sides, strict=True)]
    if count == 1:
        return Texture(each, None, False, found.trouble)
    pooled = _effect(found, ALL, np.mean(sides, axis=0), margin, of_all)
    apart = np.array(sides) - np.mean(sides, axis=0)
    differ = not math.isnan(pooled.low) and _p(found, apart) <= of_one
    why = found.trouble or (NO_SPREAD if math.isnan(pooled.low) else "")
    return Texture(each, pooled, differ, why)


def _contrast(found: Estimate, with_texture: Sequence[str], without: Sequence[str]) -> Array:
    """The weight of each arm in a difference [A]."""
    weights = np.zeros(len(found.arms))
    for arms, sign in ((with_texture, 1), (without, -1)):
        for arm in arms:
            weights[found.arms.index(arm)] += sign / len(arms)
    return weights


def _effect(found: Estimate, name: str, contrast: Array, margin: float, level: float) -> Effect:
    difference = float(contrast @ found.means)
    seeds, units = (max(float(_covariance(of, contrast)), 0.0) for of in (found.seed_variance, found.unit_variance))
    if found.trouble or seeds + units < NOTHING:
        return Effect(name, difference, math.nan, math.nan, Help.UNTOLD)
    df = float(satterthwaite(np.array(seeds), _seed_df(found, contrast), np.array(units), found.units - 1))
    half = float(special.stdtrit(df, 1 - level / 2)) * math.sqrt(seeds + units)
    low, high = difference - half, difference + half
    if -margin < low and high < margin:
        word = Help.EQUIVALENT
    else:
        word = Help.HELPS if low > 0 else Help.HARMS if high < 0 else Help.UNTOLD
    return Effect(name, difference, low, high, word)


def _p(found: Estimate, contrasts: Array) -> float:
    """How often luck alone makes backbones differ as much. contrasts [Q, A]."""
    training, units = (_covariance(of, contrasts) for of in (found.seed_variance, found.unit_variance))
    return squares(contrasts @ found.means, training, units, (_seed_df(found, contrasts), found.units - 1)).p()


def _covariance(of_differences: Array, contrasts: Array) -> Array:
    """Of contrasts whose weights sum to 0, from the variance of the difference of each two arms."""
    return np.asarray(-contrasts @ of_differences @ contrasts.T / 2)


def _seed_df(found: Estimate, contrasts: Array) -> float:
    """Of the variance that training anew makes: the fewest of the arms that take part."""
    taking_part = np.flatnonzero(np.abs(np.atleast_2d(contrasts)).sum(axis=0) > 0)
    return float(found.seed_df[np.ix_(taking_part, taking_part)].min())
