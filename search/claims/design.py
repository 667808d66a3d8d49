"""Which arm ran from which seed, and so what of the scores is the arm, the seed, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.sparse.csgraph import connected_components

from search.claims.runs import Array


@dataclass(frozen=True)
class Design:
    """Which arm ran from which seed. member [R, A]: 1 where a run is of an arm. started [R, S]: the same of seeds.
    model [R, P]: independent columns, of which the first A are the arms. df: degrees of freedom of what it leaves of
    the scores. shares_seeds: whether effects of seeds are told from those of arms.
    """

    arms: tuple[str, ...]
    member: Array
    started: Array
    model: Array
    df: int
    shares_seeds: bool

    @cached_property
    def same_seed(self) -> Array:
        """1 where two runs are of the same seed [R, R]."""
        return np.asarray(self.started @ self.started.T)

    @cached_property
    def effects(self) -> Array:
        """An arm's mean from the scores [A, R]."""
        return self._solution[: len(self.arms)]

    @cached_property
    def left(self) -> Array:
        """What is left of the scores after the effects [R, R]."""
        return np.asarray(np.eye(len(self.model)) - self.model @ self._solution)

    def left_of(self, scores: Array) -> Array:
        """The same of these scores [R], without the large matrix."""
        model = self.model
        return np.asarray(scores - model @ np.linalg.solve(model.T @ model, model.T @ scores))

    @cached_property
    def _solution(self) -> Array:
        return np.asarray(np.linalg.solve(self.model.T @ self.model, self.model.T), dtype=np.float64)


@lru_cache(maxsize=256)
def design_of(arms: tuple[str, ...], seeds: tuple[int, ...]) -> Design:
    """Least squares with effects of arms and seeds.

    Where some arms share no seed with others, not even by way of further arms, effects of seeds cannot be told from
    those of arms: seeds then count as part of the spread, whose degrees of freedom are those of the seeds.
    """
    names, kinds = tuple(sorted(set(arms))), sorted(set(seeds))
    member, started = _dummies(arms, names), _dummies(seeds, kinds)
    centred = started[:, 1:] - started[:, :1]  # effects that sum to 0, so that an arm's mean is over all seeds
    groups = _num_groups(member.T @ started)
    shares_seeds = groups == 1
    model = np.hstack([member, centred]) if shares_seeds else member
    df = len(arms) - model.shape[1] if shares_seeds else len(kinds) - groups
    return Design(names, member, started, model, df, shares_seeds)


def _dummies(values: Sequence[object], kinds: Sequence[object]) -> Array:
    places = {kind: place for place, kind in enumerate(kinds)}
    return np.asarray(np.eye(len(kinds))[[places[value] for value in values]])


def _num_groups(together: Array) -> int:
    """How many groups of arms share no seed with others, not even by way of further arms. together [arms, seeds]."""
    nothing = [np.zeros((count, count)) for count in together.shape]
    links = np.block([[nothing[0], together], [together.T, nothing[1]]])
    return int(connected_components(links, directed=False, return_labels=False))
