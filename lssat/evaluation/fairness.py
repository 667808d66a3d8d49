"""Scores by subgroup: the worst group, and the gap between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lssat.evaluation.metrics import Array, one_score
from lssat.evaluation.odds import LEAST_ROWS, equalised_odds
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import FEWEST_UNITS, interval, joint_halves, resampled, too_few

NO_SPREAD = "the scores have no spread, or too few resamples have every class"
Groups = Mapping[str, Array]
"""Column -> the subgroup of each row of a split [N], in words."""


def worst_group(kind: str, metric: str, predictions: Predictions, groups: Groups) -> dict[str, float]:
    """`worst_group`: the lowest score of any group of any column; `gap`: the largest difference within a column.

    Both are NaN where no column has two groups that can be scored.
    """
    found = [_by_group(kind, metric, predictions, _rows_of(words))[0].values() for words in groups.values()]
    comparable = [scores for scores in found if len(scores) > 1]
    if not comparable:
        return {"worst_group": float("nan"), "gap": float("nan")}
    return {"worst_group": min(map(min, comparable)), "gap": max(max(scores) - min(scores) for scores in comparable)}


def worst_group_interval(
    kind: str, metric: str, predictions: Predictions, groups: Groups, units: Array
) -> tuple[tuple[float, float] | None, str]:
    """The interval of the score of the group that is the worst of all columns, and why there is none, if so.

    It is that group that is resampled: the lowest of several is lower in every resample. The intervals of all groups
    hold together, since it was picked as the worst of them.
    """
    found: list[tuple[Array, Predictions, float]] = []
    for words in groups.values():
        rows_of = _rows_of(words)
        scores, left_out = _by_group(kind, metric, predictions, rows_of)
        kept = predictions.without_labels(left_out)
        found += [(rows_of[name], kept, score) for name, score in scores.items() if len(scores) > 1]
    if not found:
        return None, "no column has two groups that can be scored"
    named = min(range(len(found)), key=lambda index: found[index][2])
    if why := too_few(units[found[named][0]]):
        return None, why
    enough = [index for index, (rows, _, _) in enumerate(found) if not too_few(units[rows])]
    inside = np.array([np.isin(np.arange(len(units)), found[index][0]) for index in enough])

    def scores_of(rows: Array) -> list[float]:
        parts = [(found[index][1], rows[inside[place, rows]]) for place, index in enumerate(enough)]
        return [_score_or_nan(kind, metric, kept.of(part)) for kept, part in parts]

    halves = joint_halves(np.array([found[index][2] for index in enough]), resampled(units, scores_of))
    bounds = interval(found[named][2], halves[enough.index(named)])
    return bounds, "" if bounds else NO_SPREAD


def by_subgroup(kind: str, metric: str, predictions: Predictions, groups: Array, units: Array) -> dict[str, Any]:
    """What `metric` is in each group of one column, and how unequal that is. groups: the words of the column [N];
    units [N]: what intervals are resampled by.

    What is resampled are the signed differences of each two groups, and their intervals hold together: best and worst
    may be picked after the fact, and where their interval holds 0 the gap cannot be told from none. `gap_interval` is
    None where `gap_why` says so. `told`: each two groups whose difference is more than luck. `equalised_odds`: see
    `odds` (Hardt et al., arXiv 1610.02413). Groups of fewer than LEAST_ROWS rows, or without a class, are listed
    unscored; of several labels those count that every other group has with and without (the label Male says nothing of
    groups by Male).
    """
    rows_of = _rows_of(groups)
    scores, left_out = _by_group(kind, metric, predictions, rows_of)
    predictions = predictions.without_labels(left_out)
    num_units = {name: len(np.unique(units[rows])) for name, rows in rows_of.items()}
    result: dict[str, Any] = {
        "groups": {
            name: {"rows": len(rows), "units": num_units[name], "score": scores.get(name)}
            for name, rows in rows_of.items()
        },
        "metric": metric,
        "labels_left_out": left_out,
        "unscored": sorted(rows_of.keys() - scores.keys()),
    }
    if len(scores) < 2:
        return result
    best, *_, worst = sorted(scores, key=lambda name: -scores[name])
    enough = [name for name in scores if num_units[name] >= FEWEST_UNITS]
    differences = _differences(kind, metric, predictions, {name: rows_of[name] for name in enough}, units)
    odds = equalised_odds(kind, predictions, {name: rows_of[name] for name in scores}, units)
    found = differences.get((best, worst))
    return result | {
        "worst_group": worst,
        "worst_score": scores[worst],
        "best_group": best,
        "gap": scores[best] - scores[worst],
        "gap_interval": found,
        "gap_why": "" if found else _why_none([best, worst], num_units),
        "told": [[high, low] for (high, low), bounds in differences.items() if bounds and bounds[0] > 0],
        "equalised_odds": odds.difference if odds else None,
        "equalised_odds_of": odds._replace(column=_column_of_all(odds.column, left_out))._asdict() if odds else None,
    }


def _differences(
    kind: str, metric: str, predictions: Predictions, rows_of: Mapping[str, Array], units: Array
) -> dict[tuple[str, str], tuple[float, float] | None]:
    """The joint intervals of the signed difference of each two groups, the better one first."""
    if len(rows_of) < 2:
        return {}
    group = np.full(len(units), -1)
    for index, rows in enumerate(rows_of.values()):
        group[rows] = index

    def scores_of(rows: Array) -> list[float]:
        parts = [rows[group[rows] == index] for index in range(len(rows_of))]
        return [_score_or_nan(kind, metric, predictions.of(part)) for part in parts]

    scores, drawn = np.array(scores_of(np.arange(len(units)))), resampled(units, scores_of)
    order = np.argsort(-scores, kind="stable")
    pairs = [(high, low) for place, high in enumerate(order) for low in order[place + 1 :]]
    highs, lows = (np.array(side) for side in zip(*pairs, strict=True))
    halves = joint_halves(scores[highs] - scores[lows], drawn[:, highs] - drawn[:, lows])
    names = list(rows_of)
    return {
        (names[high], names[low]): interval(scores[high] - scores[low], half)
        for (high, low), half in zip(pairs, halves, strict=True)
    }


def _column_of_all(column: int, left_out: Sequence[int]) -> int:
    """Where a label was before some were left out."""
    for left in left_out:
        column += left <= column
    return column


def _score_or_nan(kind: str, metric: str, predictions: Predictions) -> float:
    try:
        return one_score(kind, metric, *predictions) if len(predictions.labels) else float("nan")
    except ValueError:  # a class is missing
        return float("nan")


def _why_none(names: Sequence[str], num_units: Mapping[str, int]) -> str:
    few = [f"{num_units[name]} in {name}" for name in dict.fromkeys(names) if num_units[name] < FEWEST_UNITS]
    if few:
        return f"too few independent units ({', '.join(few)}; an interval takes {FEWEST_UNITS} in each group)"
    return NO_SPREAD


def _rows_of(groups: Array) -> dict[str, Array]:
    """The rows of each group of one column."""
    return {str(name): np.flatnonzero(groups == name) for name in np.unique(groups)}


def _by_group(
    kind: str, metric: str, predictions: Predictions, rows_of: dict[str, Array]
) -> tuple[dict[str, float], list[int]]:
    """The score of each group that can be scored, and the labels that are left out."""
    large = {name: rows for name, rows in rows_of.items() if len(rows) >= LEAST_ROWS}
    left_out: list[int] = []
    if kind == "multilabel" and large:
        parts = [predictions.labels[rows] for rows in large.values()]
        left_out = np.flatnonzero(~np.all([part.any(0) & ~part.all(0) for part in parts], axis=0)).tolist()
    predictions = predictions.without_labels(left_out)
    scores: dict[str, float] = {}
    for name, rows in large.items():
        try:
            if predictions.logits.shape[1]:
                scores[name] = one_score(kind, metric, *predictions.of(rows))
        except ValueError:  # a class is missing
            continue
    return scores, left_out
