"""What role each setting plays in a grid: its share of the variance of the score, with an interval, and whether it
matters at all.

A run's score is what its settings make of it, plus what training anew makes of it: the noise that everything else is
seen against. Shares are of the variance of one run's score over the grid. A setting's sum of squares is tested against
what seeds and validation units would make of it where the setting did nothing (`squares.py`), and its interval
comes from the noncentral F distribution. So "matters" speaks of expected scores over seeds and over units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from search.claims.critical import LEVEL
from search.claims.design import design_of
from search.claims.estimate import FEWEST_UNITS, NOTHING
from search.claims.factors import Factor, Levels, additive_space, complement, factors_of
from search.claims.runs import Array, Runs
from search.claims.squares import Noise, Squares, squares
from search.claims.words import NO_SPREAD

INTERACTIONS = "interactions"
ONE_SIDE = LEVEL / 2
"""What an interval may miss on each side."""
UNLIKE = 0.15
"""A factor on which seeds act more than on the rest, beyond luck this rare, is tested against what they do to it. At
0.05 settings matter falsely in 7% of the planted studies whose seeds do so, at 0.15 in 5 to 6%."""

UNLIKE_VALUE = 0.02
"""Runs of a value that spread more than all others, beyond luck this rare, count with a variance of their own."""


class Role(StrEnum):
    """What is said of a setting."""

    MATTERS = "matters"
    UNTOLD = "cannot be told"
    CONFOUNDED = "confounded"


@dataclass(frozen=True)
class Share:
    """Of the variance of a run's score; `low` and `high` bound it. NaN: not known. `confounded`: the settings that
    always changed together with this one. `apart`: its values that were never compared with another of its values.
    """

    factor: str
    share: float
    low: float
    high: float
    role: Role
    confounded: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Importance:
    """`shares`: of each factor, the largest first, then of all interactions as a lump. `noise`: the share that training
    anew has, the floor; where the grid has no repeated seeds it holds the interactions, too (`has_floor` is false, and
    there is no row of them). `why`: what stands in the way of tests and intervals, in words.
    """

    shares: list[Share]
    noise: float
    has_floor: bool
    why: str


class _Plan(NamedTuple):
    """What depends on the design alone. Contrasts are of runs [Q, R]: `own` of each factor that has any and, with a
    floor, of the interactions; `rest` of all that is not the factor. left [R, R], df: the noise. of_seeds: the runs of
    each seed; none where not all arms ran from the same. values: the runs of each value of a setting.
    """

    factors: list[Factor]
    names: list[str]
    own: list[Array]
    rest: list[Array]
    everything: Array
    left: Array
    df: int
    has_floor: bool
    of_seeds: list[NDArray[np.intp]]
    values: list[NDArray[np.bool_]]


def importance(runs: Runs, levels: Levels) -> Importance:
    """The role of each factor. `levels`: what each arm has of it; arms that differ in nothing are an error of ours."""
    order = sorted(set(runs.arms))
    frozen = tuple((name, tuple(values.get(arm) for arm in order)) for name, values in levels.items())
    plan = _plan(runs.arms, runs.seeds, frozen)
    noise = _noise(runs, plan)
    own = [_squares(runs, plan, each, noise) for each in plan.own]
    rest = [_squares(runs, plan, each, noise) for each in plan.rest]
    why = _trouble(runs, plan, own)
    floor = float(noise.of_run.mean()) * len(order)
    levels_tested = [math.nan] * len(own) if why else _levels([each.p() for each in own])
    found = {
        name: _share(name, one, other, floor, level)
        for name, one, other, level in zip(plan.names, own, rest, levels_tested, strict=True)
    }
    shares = [_with_notes(factor, found.get(factor.name)) for factor in plan.factors]
    shares.sort(key=lambda share: -share.share if math.isfinite(share.share) else 1.0)
    total = _squares(runs, plan, plan.everything, noise).true + floor
    lump = [found[INTERACTIONS]] if INTERACTIONS in found else []
    return Importance([*shares, *lump], floor / total if total > 0 else math.nan, plan.has_floor, why)


def _with_notes(factor: Factor, share: Share | None) -> Share:
    if share is None:
        return Share(factor.name, math.nan, math.nan, math.nan, Role.CONFOUNDED, factor.confounded)
    return Share(share.factor, share.share, share.low, share.high, share.role, (), factor.apart)


@lru_cache(maxsize=64)
def _plan(
    arms: tuple[str, ...], seeds: tuple[int, ...], columns: tuple[tuple[str, tuple[str | None, ...]], ...]
) -> _Plan:
    design = design_of(arms, seeds)
    levels = {name: dict(zip(design.arms, column, strict=True)) for name, column in columns}
    factors = factors_of(design.arms, levels)
    additive = additive_space(design.arms, levels)
    has_floor = design.df > 0
    of_factors = {factor.name: factor.contrasts for factor in factors if factor.contrasts.shape[1]}
    interactions = complement(additive)
    everything = complement(np.zeros((len(design.arms), 0))) if has_floor else additive
    if has_floor and interactions.shape[1]:
        of_factors[INTERACTIONS] = interactions
    left = design.left if has_floor else design.effects.T @ interactions @ interactions.T @ design.effects
    rest = [_without(everything, contrasts).T @ design.effects for contrasts in of_factors.values()]
    same = len(arms) == len(set(arms)) * len(set(seeds))
    return _Plan(
        factors,
        list(of_factors),
        [contrasts.T @ design.effects for contrasts in of_factors.values()],
        rest,
        everything.T @ design.effects,
        left,
        design.df if has_floor else interactions.shape[1],
        has_floor,
        [np.flatnonzero(np.equal(seeds, seed)) for seed in sorted(set(seeds))] if same and has_floor else [],
        [
            np.array([of[arm] == value for arm in arms])
            for of in levels.values()
            for value in dict.fromkeys(of.values())
        ],
    )


def _without(space: Array, contrasts: Array) -> Array:
    """What of a space is orthogonal to contrasts in it, as an orthonormal basis."""
    kept = space - contrasts @ (contrasts.T @ space)
    left, sizes, _ = np.linalg.svd(kept, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-6])


def _noise(runs: Runs, plan: _Plan) -> Noise:
    """One variance for all runs or, where those of some value of a setting spread otherwise than the rest, beyond luck,
    one for them and one for the rest.
    """
    squared, share = (plan.left @ runs.scores) ** 2, np.diag(plan.left)
    rank = max(float(share.sum()), 1.0)
    by_units = max(float((plan.left * runs.covariance).sum()) / rank, 0.0)
    everyone = np.ones(len(squared), bool)
    rarest, found = UNLIKE_VALUE, Noise(everyone * max(float(squared.sum()) / rank, by_units), by_units, [])
    found.groups.append((everyone, float(plan.df)))
    for value in plan.values if plan.df > 1 else []:
        dfs = np.array([share[value].sum(), share[~value].sum()]) * plan.df / rank
        if dfs.min() < 1:
            continue
        seen = [max(float(squared[of].sum() / share[of].sum()), by_units, NOTHING) for of in (value, ~value)]
        luck = float(special.fdtrc(*dfs, seen[0] / seen[1]))
        if luck < rarest:
            groups = [(value, float(dfs[0])), (~value, float(dfs[1]))]
            rarest, found = luck, Noise(np.where(value, *seen), by_units, groups)
    return found


def _squares(runs: Runs, plan: _Plan, contrasts: Array, noise: Noise) -> Squares:
    training, df = _seeds_on(runs, plan, contrasts, noise)
    units = contrasts @ runs.covariance @ contrasts.T - noise.by_units * contrasts @ contrasts.T
    return squares(contrasts @ runs.scores, training, units, (df, runs.units - 1))


def _seeds_on(runs: Runs, plan: _Plan, contrasts: Array, noise: Noise) -> tuple[Array, float]:
    """What training anew makes of these contrasts and its degrees of freedom: of the noise or, where seeds act on what
    is compared more than on the rest, beyond luck, what they do to it. It takes all arms from the same seeds.
    """
    usual, usual_df = noise.of(contrasts)
    df = (len(plan.of_seeds) - 1) * len(contrasts)
    of_run = float(noise.of_run[0])
    if len(noise.groups) > 1 or df < 1 or df >= plan.df or of_run <= 0:
        return usual, usual_df
    weights = contrasts * len(plan.of_seeds)  # each run's part is its arm's mean over the seeds
    by_seed = np.array([weights[:, of] @ runs.scores[of] for of in plan.of_seeds])
    own = float(((by_seed - by_seed.mean(axis=0)) ** 2).sum()) / df
    others = max(plan.df * of_run - df * own, 0.0) / (plan.df - df)
    if own <= special.fdtri(df, plan.df - df, 1 - UNLIKE) * others:
        return usual, usual_df
    return usual * max(own / of_run, 1.0), float(df)


def _levels(ps: Sequence[float]) -> list[float]:
    """The level at which each of a family is tested, step by step (Holm 1979), so that at most 5% of studies say a
    false word; none above what an interval may miss. Those that fail are all at the level of the first that does.
    """
    level, passes, found = 0.0, True, [0.0] * len(ps)
    for step, index in enumerate(np.argsort(ps)):
        if passes:
            level = min(LEVEL / (len(ps) - step), ONE_SIDE)
            passes = ps[index] <= level
        found[index] = level
    return found


def _share(name: str, own: Squares, rest: Squares, floor: float, level: float) -> Share:
    """`floor`: the noise of all arms. `level`: of the test; NaN where there is none, and no interval."""
    total = own.true + rest.true + floor
    share = own.true / total if total > 0 else math.nan
    if math.isnan(level):
        return Share(name, share, math.nan, math.nan, Role.UNTOLD)
    if own.p() <= level:
        least = own.bound(1 - level)
        low = least / (least + rest.bound(ONE_SIDE) + floor)
    else:
        low = 0.0
    most = own.bound(ONE_SIDE)
    high = most / (most + rest.bound(1 - ONE_SIDE) + floor)
    return Share(name, share, min(low, share), max(high, share), Role.MATTERS if low > 0 else Role.UNTOLD)


def _trouble(runs: Runs, plan: _Plan, own: Sequence[Squares]) -> str:
    if not plan.names:
        return "no setting was varied by itself"
    if runs.lacking:
        return runs.lacking
    if not plan.has_floor and len(set(runs.seeds)) < len(runs.seeds):
        return "arms ran from one seed, and what it does to a setting by luck looks like the setting's own doing"
    if plan.df < 1:
        return "no run is left to show the noise; give the grid seeds, such as `seed: [0, 1, 2]`"
    if runs.units < FEWEST_UNITS:
        return f"too few validation units ({runs.units}; it takes {FEWEST_UNITS})"
    return NO_SPREAD if any(each.expected < NOTHING for each in own) else ""
