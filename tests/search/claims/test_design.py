"""Which arm ran from which seed: by independent columns, against least squares that ask for nothing."""

import numpy as np
import pytest

from search.claims.design import design_of


def reference(arms, seeds):
    """Arms' means [A, R] by the pseudoinverse, and whether every seed is tied to every arm, by the rank."""
    names, kinds = sorted(set(arms)), sorted(set(seeds))
    member = np.array([[float(arm == name) for name in names] for arm in arms])
    started = np.array([[float(seed == kind) for kind in kinds] for seed in seeds])
    is_tied = np.linalg.matrix_rank(np.hstack([member, started])) == len(names) + len(kinds) - 1
    model = np.hstack([member, started[:, 1:] - started[:, :1]]) if is_tied else member
    solution = np.linalg.pinv(model)
    return solution[: len(names)], np.eye(len(arms)) - model @ solution, is_tied


@pytest.mark.parametrize("number", range(40))
def test_a_design_with_holes_is_that_of_least_squares(number):
    generator = np.random.default_rng(number)
    shape = generator.integers(1, 7, 2)
    there = generator.random(shape) < generator.choice([0.3, 0.6, 1.0])
    there[0, 0] = True
    arms, seeds = zip(*[(f"arm {arm}", int(seed)) for arm, seed in np.argwhere(there)], strict=True)
    found = design_of(arms, seeds)
    effects, left, is_tied = reference(arms, seeds)
    assert found.shares_seeds == is_tied
    assert found.effects == pytest.approx(effects, abs=1e-9)
    assert found.left == pytest.approx(left, abs=1e-9)
    scores = generator.random(len(arms))
    assert found.left_of(scores) == pytest.approx(left @ scores, abs=1e-9)
    if is_tied:
        assert found.df == round(np.trace(left))
