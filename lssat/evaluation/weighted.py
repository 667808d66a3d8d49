"""Scores over rows that count several times each, of many draws at once: for intervals, which draw rows by the hundred.

Each function made here takes `times` [D, N], how often each of N rows counts in each of D draws, and gives D scores:
those of `metrics.one_score` and `fairness.worst_group` on the drawn rows, NaN where these are undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.sparse import csr_array

from lssat.evaluation.fairness import LEAST_ROWS, Groups
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions

OfDraws = Callable[[Array], Array]
RANKED = ("auc", "average_precision")


def score_of_draws(kind: str, metric: str, predictions: Predictions) -> OfDraws:
    """`metrics.one_score` of each draw."""
    by_label = _by_label(kind, metric, predictions)
    return lambda times: by_label(times).mean(axis=1)


def worst_group_of_draws(kind: str, metric: str, predictions: Predictions, groups: Groups) -> OfDraws:
    """The lowest score of any group of any column of each draw (`fairness.worst_group`)."""
    columns = []
    for words in groups.values():
        rows_of = [np.flatnonzero(words == name) for name in np.unique(words)]
        columns.append([(rows, _by_label(kind, metric, predictions.of(rows))) for rows in rows_of])

    def worst(times: Array) -> Array:
        found = np.array([_worst_of_column(kind, times, column) for column in columns])
        lowest = np.fmin.reduce(found, axis=0)
        return np.asarray(lowest)

    return worst


def _worst_of_column(kind: str, times: Array, column: list[tuple[Array, OfDraws]]) -> Array:
    """The lowest score of a group [D]; NaN where fewer than two groups can be scored.

    Of several labels those count that every group of enough rows has with and without.
    """
    by_label = np.array([score(times[:, rows]) for rows, score in column])
    is_large = np.array([times[:, rows].sum(axis=1) >= LEAST_ROWS for rows, _ in column])
    if kind == "multilabel":
        counts = np.where(is_large[:, :, None], np.isfinite(by_label), True).all(axis=0)
        with np.errstate(invalid="ignore"):
            scores = np.where(counts, by_label, 0).sum(axis=2) / counts.sum(axis=1)
    else:
        scores = by_label[:, :, 0]
    scores = np.where(is_large, scores, np.nan)
    is_comparable = np.isfinite(scores).sum(axis=0) > 1
    return np.where(is_comparable, np.fmin.reduce(scores, axis=0), np.nan)


def _by_label(kind: str, metric: str, predictions: Predictions) -> OfDraws:
    """times [D, N] -> the score of each label [D, L]; L = 1 but for several labels."""
    logits, labels = predictions
    if kind == "multiclass":
        return _of_classes(metric, logits.argmax(axis=1), labels, logits.shape[1])
    positive = labels.reshape(len(labels), -1) == 1
    if metric not in RANKED:
        return _of_signs(metric, logits > 0, positive)
    ranked = _auc if metric == "auc" else _average_precision
    each = [_in_order(ranked, logits[:, label], positive[:, label]) for label in range(positive.shape[1])]
    return lambda times: np.stack([score(times) for score in each], axis=1)


def _of_classes(metric: str, predicted: Array, labels: Array, classes: int) -> OfDraws:
    def rows_by(values: Array, rows: Array) -> csr_array:
        return csr_array((np.ones(len(rows)), (rows, values[rows])), (len(values), classes))

    every = np.arange(len(labels))
    tables = [rows_by(labels, every), rows_by(predicted, every), rows_by(labels, np.flatnonzero(labels == predicted))]

    def score(times: Array) -> Array:
        true, taken, hits = (times @ table for table in tables)
        found = _ratio(hits, true)
        if metric == "accuracy":
            scores = hits.sum(axis=1) / true.sum(axis=1)
        elif metric == "balanced_accuracy":
            scores = found.sum(axis=1) / (true > 0).sum(axis=1)
        else:
            scores = _ratio(2 * hits, true + taken).sum(axis=1) / (true + taken > 0).sum(axis=1)
        return np.where((true > 0).sum(axis=1) > 1, scores, np.nan)[:, None]

    return score


def _of_signs(metric: str, predicted: Array, positive: Array) -> OfDraws:
    """Of tables of two by two, one for each label. All [N, L].

    Float32, which is twice as fast, counts up to 16 million rows without an error.
    """
    tables = [table.astype(np.float32) for table in (predicted & positive, predicted, positive)]

    def score(times: Array) -> Array:
        hits, taken, true = ((times.astype(np.float32) @ table).astype(float) for table in tables)
        total = times.sum(axis=1, keepdims=True)
        neither, false = total - taken - true + hits, total - true
        if metric == "accuracy":
            scores = (hits + neither) / total
        elif metric == "balanced_accuracy":
            scores = (_ratio(hits, true) + _ratio(neither, false)) / 2
        else:
            scores = (_ratio(2 * hits, taken + true) + _ratio(2 * neither, total - taken + false)) / 2
        return np.where((true > 0) & (false > 0), scores, np.nan)

    return score


def _in_order(ranked: Callable[[Array, Array], Array], logits: Array, positive: Array) -> OfDraws:
    """A score of ranks: rows are sorted once, rows of equal logits counted as one."""
    order = np.argsort(-logits, kind="stable")
    starts = np.flatnonzero(np.diff(logits[order], prepend=np.inf))
    groups = partial(np.add.reduceat, indices=starts, axis=1)
    is_positive = positive[order].astype(float)

    def score(times: Array) -> Array:
        all_rows = times[:, order]
        right = all_rows * is_positive
        wrong = all_rows - right
        if len(starts) < len(order):
            right, wrong = groups(right), groups(wrong)
        is_defined = (right.sum(axis=1) > 0) & (wrong.sum(axis=1) > 0)
        return np.where(is_defined, ranked(right, wrong), np.nan)

    return score


def _auc(right: Array, wrong: Array) -> Array:
    """The share of pairs in the right order, ties by half. Positive and negative rows [D, ranks], the highest first."""
    above = np.cumsum(right, axis=1) - right / 2
    return _ratio((wrong * above).sum(axis=1), wrong.sum(axis=1) * right.sum(axis=1))


def _average_precision(right: Array, wrong: Array) -> Array:
    """The mean over positive rows of the precision down to their rank."""
    so_far = np.cumsum(right, axis=1)
    precision = _ratio(so_far, so_far + np.cumsum(wrong, axis=1))
    return _ratio((right * precision).sum(axis=1), right.sum(axis=1))


def _ratio(part: Array, whole: Array) -> Array:
    """0 where there is nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0))
