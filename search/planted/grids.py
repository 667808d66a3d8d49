"""Grids whose truth is known: how often is a setting falsely said to matter, and a texture to help over backbones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from search.claims.importance import INTERACTIONS, Importance, Role, importance
from search.claims.pooled import Help, texture
from search.claims.runs import Array, Runs
from search.planted.studies import Plant, draw, wishart, with_truth
from search.planted.tally import Tally

LEAD = 4
"""By how many standard errors a planted effect differs from none."""
STRONG = 0.05
"""What the settings do that are planted to matter, where the question is what is said of another."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Grid:
    """A grid of settings with so many values each, run from each seed. Each `sd` is a standard deviation: of the seeds'
    common effect, of a run's luck, of what a seed does to each value of the first setting; and over units, of what is
    common to all, of each setting's value, of an arm, of a run. unlike: the luck of the first value's runs is so many
    times as large. missing: every so many-th run is not there; 0: none. strange_seeds: every run has a seed of its own.
    """

    sizes: tuple[int, ...] = (3, 2, 2)
    seeds: int = 3
    units: int = 1000
    run_sd: float = 0.01
    seed_sd: float = 0.01
    seed_value_sd: float = 0.0
    common_sd: float = 0.3
    value_sd: float = 0.1
    arm_sd: float = 0.1
    unit_sd: float = 0.2
    unlike: float = 1.0
    missing: int = 0
    strange_seeds: bool = False

    @cached_property
    def arms(self) -> Array:
        """The value of each setting in each arm [A, settings], by number."""
        return np.array(list(product(*map(range, self.sizes))))

    @cached_property
    def names(self) -> list[str]:
        """Of the arms."""
        return [f"arm {number:02d}" for number in range(len(self.arms))]

    @cached_property
    def levels(self) -> dict[str, dict[str, str | None]]:
        """Setting -> arm -> value."""
        settings = range(len(self.sizes))
        return {
            f"setting {of}": {arm: str(v) for arm, v in zip(self.names, self.arms[:, of], strict=True)}
            for of in settings
        }

    @property
    def luck(self) -> float:
        """The variance that training anew makes of a run, on average, but for what seeds do to values."""
        of_run = self.run_sd**2 * (1 + (self.unlike**2 - 1) / self.sizes[0]) + self.unit_sd**2 / self.units
        return of_run + self.seed_sd**2 * self.strange_seeds

    @property
    def noise(self) -> float:
        """The variance of a run around what is expected of its arm and its seed."""
        others = 1 - 1 / self.sizes[0]
        return self.luck + self.seed_value_sd**2 * others * len(self.arms) / (len(self.arms) - 1)

    @property
    def lead(self) -> Array:
        """What each arm has where the last setting, of two values, has an effect of `LEAD` standard errors [A]."""
        of_run = (self.luck + self.arm_sd**2 * self.seeds / self.units) * 4 / (len(self.arms) * self.seeds)
        error = float(np.sqrt(of_run + 2 * self.value_sd**2 / self.units))
        return np.asarray(LEAD * error * (self.arms[:, -1] == 0))

    @property
    def strong(self) -> Array:
        """What each arm has where the first two settings matter, apart and together, and the last does nothing [A]."""
        first, second = self.arms[:, 0], self.arms[:, 1]
        return np.asarray(STRONG * ((first == 0) + (second == 0) + (first == 1) * (second == 1)))


def draw_grid(grid: Grid, generator: np.random.Generator) -> Runs:
    """The runs of a grid whose settings do nothing."""
    arms, seeds, lower = _design(grid)
    count = len(arms)
    scores = lower @ generator.standard_normal(count) / np.sqrt(grid.units)
    scores += (grid.seed_sd * generator.standard_normal(count))[seeds]
    on_values = grid.seed_value_sd * generator.standard_normal((count, grid.sizes[0]))
    scores += on_values[seeds, grid.arms[arms, 0]]
    luck = np.where(grid.arms[arms, 0] == 0, grid.unlike, 1.0) * grid.run_sd
    scores += luck * generator.standard_normal(count)
    covariance = wishart(lower @ lower.T, grid.units, generator)
    return Runs(tuple(grid.names[arm] for arm in arms), tuple(seeds.tolist()), scores, covariance, grid.units)


@lru_cache(maxsize=64)
def _design(grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The arm and the seed of each run, and a root of the covariance of runs over units."""
    arms, seeds = np.repeat(np.arange(len(grid.arms)), grid.seeds), np.tile(np.arange(grid.seeds), len(grid.arms))
    if grid.missing:
        kept = np.arange(len(arms)) % grid.missing != 1
        arms, seeds = arms[kept], seeds[kept]
    if grid.strange_seeds:
        seeds = np.arange(len(arms))
    values = grid.arms[arms]
    alike = (values[:, None] == values[None]).sum(axis=2)
    over_units = grid.common_sd**2 + grid.value_sd**2 * alike + grid.arm_sd**2 * np.equal.outer(arms, arms)
    return arms, seeds, np.linalg.cholesky(over_units + grid.unit_sd**2 * np.eye(len(arms)))


def tally_grid(grid: Grid, studies: int, seed: int = 0) -> Tally:
    """false: some setting that does nothing is said to matter. false beside others: so, of the last, where the first
    two matter. lead: the last is said to matter where it has an effect of 4 standard errors. holds: the interval of its
    share then has the truth; others hold: so have all intervals, where the first two matter.
    """
    generator = np.random.default_rng(seed)
    found = Tally()
    last = f"setting {len(grid.sizes) - 1}"
    for _ in range(studies):
        runs = draw_grid(grid, generator)
        equal = importance(runs, grid.levels)
        beside = importance(with_truth(runs, grid.strong), grid.levels)
        leading = importance(with_truth(runs, grid.lead), grid.levels)
        found.studies += 1
        found.seen["false"] += any(share.role is Role.MATTERS for share in equal.shares)
        found.seen["false beside others"] += _role(beside, last) is Role.MATTERS
        found.seen["lead"] += _role(leading, last) is Role.MATTERS
        found.seen["holds"] += _hold(leading, _true_shares(grid, grid.lead), [last])
        found.seen["others hold"] += _hold(beside, _true_shares(grid, grid.strong), [INTERACTIONS, *grid.levels])
    return found


def tally_texture(plant: Plant, studies: int, seed: int = 0) -> Tally:
    """Half of the arms have the texture, each beside one of the others, its backbone without. false: it does nothing,
    and yet something is said of it. torn: it helps every other backbone as much as it harms the next, and yet is said
    to help or harm all; differs: to differ between them. lead: it is said to help all where it helps each by 4 standard
    errors of the pooled effect; holds: the interval of that has the truth.
    """
    generator = np.random.default_rng(seed)
    found, half = Tally(), plant.arms // 2
    pairs = {f"backbone {of}": ([f"arm {of:02d}"], [f"arm {of + half:02d}"]) for of in range(half)}
    has = (np.arange(plant.arms) < half).astype(float)
    effect = LEAD * plant.gap_of_one_se / np.sqrt(half)
    apart = np.where(np.arange(plant.arms) % 2 == 0, effect, -effect) * has * (half % 2 == 0)
    for _ in range(studies):
        runs = draw(plant, generator)
        none, helped, torn = (
            texture(with_truth(runs, of), pairs, plant.candidates) for of in (0 * has, effect * has, apart)
        )
        found.studies += 1
        told = (Help.HELPS, Help.HARMS)
        found.seen["false"] += none.differs or any(of.word in told for of in [*none.each, none.pooled] if of)
        if none.pooled and helped.pooled and torn.pooled:
            found.seen["torn"] += torn.pooled.word in told
            found.seen["lead"] += helped.pooled.word is Help.HELPS
            found.seen["holds"] += bool(helped.pooled.low <= effect <= helped.pooled.high)
            found.seen["differs"] += torn.differs
    return found


def _role(found: Importance, factor: str) -> Role:
    return next(share.role for share in found.shares if share.factor == factor)


def _hold(found: Importance, truth: Mapping[str, float], factors: Sequence[str]) -> bool:
    """Whether all of these intervals have the truth."""
    by_name = {share.factor: share for share in found.shares}
    return all(
        by_name[of].low - ROUNDING <= truth[of] <= by_name[of].high + ROUNDING for of in factors if of in by_name
    )


def _true_shares(grid: Grid, truth: Array) -> dict[str, float]:
    """Of each setting and of the interactions, where all runs are there, by averages over the other settings."""
    shape = truth.reshape(grid.sizes)
    centred = shape - shape.mean()
    axes = range(shape.ndim)
    mains = [centred.mean(axis=tuple(axis for axis in axes if axis != of)) for of in axes]
    total = float((centred**2).mean()) + grid.noise
    found = {f"setting {of}": float((main**2).mean()) / total for of, main in enumerate(mains)}
    found[INTERACTIONS] = float((centred**2).mean()) / total - sum(found.values())
    return found
