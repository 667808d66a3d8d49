"""Studies whose truth is known, drawn by the thousand: what is false in what is said of them?

A run's score is the truth of its arm, plus an effect of the seed that all arms share, plus luck of the run, plus the
mean over units of what the arm does to a unit (the same from every seed) and of what the run does to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from search.claims.runs import Array, Runs

RIGHT = 0.85
"""Share of images that an arm answers rightly, where predictions are drawn."""


@dataclass(frozen=True)
class Plant:
    """A kind of study. Each `sd` is a standard deviation: of the seeds' common effect, of a run's own luck by arm [A],
    and over units, of what is common to all arms, of an arm's own part, and of a run's own part.

    kept [A, n]: which runs there are; None: all. strange_seeds: no arm shares a seed with another. candidates: the arms
    are the best of so many after one run each on the same units; 0: they are not picked. baselines: the last so many
    arms, which are never picked.
    """

    arms: int = 4
    seeds: int = 3
    units: int = 1000
    run_sd: tuple[float, ...] = ()
    seed_sd: float = 0.01
    common_sd: float = 0.3
    arm_sd: float = 0.14
    unit_sd: float = 0.2
    kept: tuple[tuple[bool, ...], ...] = ()
    strange_seeds: bool = False
    candidates: int = 0
    baselines: int = 0

    @property
    def luck(self) -> Array:
        """The standard deviation of a run's own luck [A]."""
        return np.array(self.run_sd or [0.01] * self.arms)

    @property
    def gap_of_one_se(self) -> float:
        """The true standard error of the difference of the first two arms, where all runs are there."""
        of_run = (self.luck[:2] ** 2).sum() + 2 * self.unit_sd**2 / self.units
        return float(np.sqrt(of_run / self.seeds + 2 * self.arm_sd**2 / self.units))


def draw(plant: Plant, generator: np.random.Generator) -> Runs:
    """The runs of a study in which all arms are equal: scores around 0, to which a truth may be added.

    Means and covariance of normal values of units are independent, so they are drawn at once and not unit by unit.
    """
    arms = np.repeat(np.arange(plant.arms), plant.seeds)
    seeds = np.tile(np.arange(plant.seeds), plant.arms)
    over_units = (
        plant.common_sd**2 + plant.arm_sd**2 * np.equal.outer(arms, arms) + plant.unit_sd**2 * np.eye(len(arms))
    )
    scores = plant.common_sd / np.sqrt(plant.units) * generator.standard_normal()
    scores = scores + _luck_of_arms(plant, generator)[arms]
    own = plant.unit_sd / np.sqrt(plant.units) * generator.standard_normal(len(arms))
    effects = plant.seed_sd * generator.standard_normal(len(arms))
    if plant.strange_seeds:
        seeds = np.arange(len(arms))
    scores = scores + own + effects[seeds] + plant.luck[arms] * generator.standard_normal(len(arms))
    kept = np.array(plant.kept).ravel() if plant.kept else np.ones(len(arms), bool)
    covariance = wishart(over_units[np.ix_(kept, kept)], plant.units, generator)
    names = tuple(f"arm {arm:02d}" for arm in arms[kept])
    return Runs(names, tuple(seeds[kept].tolist()), scores[kept], covariance, plant.units)


@dataclass(frozen=True)
class Answers:
    """What runs say of images. arms, seeds [R]: numbers of them. logits [R, N]: of the positive class. labels [N]."""

    arms: NDArray[np.intp]
    seeds: NDArray[np.intp]
    logits: Array
    labels: NDArray[np.intp]


def draw_answers(plant: Plant, generator: np.random.Generator) -> Answers:
    """A study of equal arms, drawn image by image: a third of the labels are positive.

    An image is answered rightly where its value, normal over images, lies below what the run reaches.
    """
    arms, seeds = np.repeat(np.arange(plant.arms), plant.seeds), np.tile(np.arange(plant.seeds), plant.arms)
    parts = np.array([plant.common_sd, plant.arm_sd, plant.unit_sd])
    common, of_arm, of_run = parts / np.sqrt((parts**2).sum())
    values = common * generator.standard_normal(plant.units)
    values = values + of_arm * generator.standard_normal((plant.arms, plant.units))[arms]
    values += of_run * generator.standard_normal((len(arms), plant.units))
    effects = plant.seed_sd * generator.standard_normal(plant.seeds)[seeds]
    rate = RIGHT + effects + plant.luck[arms] * generator.standard_normal(len(arms))
    rightness = special.ndtri(rate)[:, None] - values
    labels = (generator.random(plant.units) < 1 / 3).astype(int)
    return Answers(arms, seeds, np.where(labels == 1, rightness, -rightness), labels)


def with_truth(runs: Runs, truth: Array) -> Runs:
    """The same runs where the arms have these true scores [A]. Arms are numbered in their order."""
    added = truth[[int(arm.split()[1]) for arm in runs.arms]]
    return Runs(runs.arms, runs.seeds, runs.scores + added, runs.covariance, runs.units)


def _luck_of_arms(plant: Plant, generator: np.random.Generator) -> Array:
    """What the choice of units adds to each arm [A]; of picked arms, to those that looked best in a single run."""
    spread = plant.arm_sd / np.sqrt(plant.units)
    if not plant.candidates:
        return np.asarray(spread * generator.standard_normal(plant.arms))
    luck = spread * generator.standard_normal(plant.candidates)
    of_run = np.hypot(plant.luck[0], plant.unit_sd / np.sqrt(plant.units))
    seen = luck + of_run * generator.standard_normal(plant.candidates)
    picked = luck[np.argsort(-seen)[: plant.arms - plant.baselines]]
    return np.concatenate([picked, spread * generator.standard_normal(plant.baselines)])


def wishart(covariance: Array, units: int, generator: np.random.Generator) -> Array:
    """The covariance of means, as it is estimated from normal values of units (Bartlett's decomposition)."""
    size = len(covariance)
    lower = np.tril(generator.standard_normal((size, size)), -1)
    np.fill_diagonal(lower, np.sqrt(generator.chisquare(units - 1 - np.arange(size))))
    root = np.linalg.cholesky(covariance) @ lower
    return np.asarray(root @ root.T / ((units - 1) * units))
