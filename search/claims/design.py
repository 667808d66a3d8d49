"""Which arm ran from which seed, and so what of the scores is the arm, the seed, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from search.claims.runs import Array


@dataclass(frozen=True)
class Design:
    """Which arm ran from which seed. member [R, A]: 1 where a run is of an arm. same_seed [R, R]. effects [A, R]: an
    arm's mean from the scores. left [R, R]: what is left of the scores after the effects. df: its degrees of freedom.
    shares_seeds: whether effects of seeds are told from those of arms.
    """

    arms: tuple[str, ...]
    member: Array
    same_seed: Array
    effects: Array
    left: Array
    df: int
    shares_seeds: bool


@lru_cache(maxsize=256)
def design_of(arms: tuple[str, ...], seeds: tuple[int, ...]) -> Design:
    """Least squares with effects of arms and seeds.

    Where some arms share no seed with others, not even by way of further arms, effects of seeds cannot be told from
    those of arms: seeds then count as part of the spread, whose degrees of freedom are those of the seeds.
    """
    names, kinds = tuple(sorted(set(arms))), sorted(set(seeds))
    member = np.array([[float(arm == name) for name in names] for arm in arms])
    started = np.array([[float(seed == kind) for kind in kinds] for seed in seeds])
    centred = started[:, 1:] - started[:, :1]  # effects that sum to 0, so that an arm's mean is over all seeds
    groups = len(names) + len(kinds) - np.linalg.matrix_rank(np.hstack([member, started]))
    shares_seeds = bool(groups == 1)
    model = np.hstack([member, centred]) if shares_seeds and len(kinds) > 1 else member
    solution = np.linalg.pinv(model)
    left = np.eye(len(arms)) - model @ solution
    df = round(float(np.trace(left))) if shares_seeds else len(kinds) - int(groups)
    return Design(names, member, started @ started.T, solution[: len(names)], left, df, shares_seeds)
