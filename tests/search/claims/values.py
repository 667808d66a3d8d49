"""Runs from what each unit gives them, without predictions."""

from collections.abc import Sequence

from search.claims.runs import Array, Runs


def of_values(arms: Sequence[str], seeds: Sequence[int], values: Array) -> Runs:
    """Runs whose score is a mean over units. values [R, units]: what each unit gives (1 for a right answer, say).

    The bootstrap of a mean needs no drawing: its covariance is that of the values over their number.
    """
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values must be runs x units, but have the shape {values.shape}")
    units = values.shape[1]
    apart = values - values.mean(axis=1, keepdims=True)
    covariance = apart @ apart.T / (units * max(units - 1, 1))
    return Runs(tuple(arms), tuple(seeds), values.mean(axis=1), covariance, units)
