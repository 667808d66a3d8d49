"""Scores over rows that count several times each, of many draws at once: for intervals, which draw rows by the hundred.

Each function made here takes `times` [D, N], how often each of N rows counts in each of D draws, and gives D scores:
those of `metrics.one_score` and `fairness.worst_group` on the drawn rows, NaN where these are undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from lssat.evaluation.fairness import Groups
from lssat.evaluation.metrics import Array
from lssat.evaluation.odds import LEAST_ROWS
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
    each = [ranked(logits[:, label], positive[:, label]) for label in range(positive.shape[1])]
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


def _auc(logits: Array, positive: Array) -> OfDraws:
    """The share of pairs of a positive and a negative row in the right order, ties by half. Rows are sorted once."""
    right, wrong = _highest_first(logits, positive), _highest_first(logits, ~positive)
    above, not_below = (np.searchsorted(-logits[right], -logits[wrong], side) for side in ("left", "right"))
    has_ties = not np.array_equal(above, not_below)

    def score(times: Array) -> Array:
        so_far, others = _sums(times, right), times.T[wrong]
        pairs = np.einsum("nd,nd->d", others, so_far[above])
        if has_ties:
            pairs = (pairs + np.einsum("nd,nd->d", others, so_far[not_below])) / 2
        total = others.sum(axis=0) * so_far[-1]
        return np.where(total > 0, _ratio(pairs, total), np.nan)

    return score


def _average_precision(logits: Array, positive: Array) -> OfDraws:
    """The mean over positive rows of the precision among the rows that are not below them."""
    right, wrong = _highest_first(logits, positive), _highest_first(logits, ~positive)
    hits, misses = (np.searchsorted(-logits[rows], -logits[right], "right") for rows in (right, wrong))

    def score(times: Array) -> Array:
        so_far, others = _sums(times, right), _sums(times, wrong)
        found = so_far[hits]
        precision = np.einsum("nd,nd->d", times.T[right], _ratio(found, found + others[misses]))
        is_defined = (so_far[-1] > 0) & (others[-1] > 0)
        return np.where(is_defined, _ratio(precision, so_far[-1]), np.nan)

    return score


def _highest_first(logits: Array, chosen: Array) -> Array:
    """The chosen rows in the order of their logits."""
    rows = np.flatnonzero(chosen)
    return np.asarray(rows[np.argsort(-logits[rows], kind="stable")])


def _sums(times: Array, rows: Array) -> Array:
    """How often the first 0, 1, 2, ... of these rows count together [rows + 1, D]."""
    sums = np.zeros((len(rows) + 1, len(times)))
    np.cumsum(times.T[rows], axis=0, out=sums[1:])
    return sums


def _ratio(part: Array, whole: Array) -> Array:
    """0 where there is nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0))
