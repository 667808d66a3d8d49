"""Scores of a task from the logits of a whole split, by scikit-learn.

It is imported where a score needs it: that takes a second, and processes that score nothing read this module for its
types.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from lssat.task import Kind

Array = NDArray[Any]
BINS = 15  # equal in width, of the calibration error (Guo et al., arXiv 1706.04599)


def evaluate_scores(kind: str, logits: Array, labels: Array) -> dict[str, float]:
    """Scores of `logits` [N, K] against `labels`: [N] of 0/1 (binary, K = 1) or classes (multiclass), [N, K] of 0/1
    (multilabel).

    binary: accuracy, balanced accuracy, macro-F1 (mean over both classes) at probability 0.5, AUC, average precision,
    equal error rate (where false positives are as frequent as false negatives) and expected calibration error (ece) of
    the positive class. multiclass: accuracy, balanced accuracy (mean recall over the classes among the labels),
    macro-F1 (mean over the classes among labels or predictions) and ece of the predicted class. multilabel: the binary
    scores, mean over labels. Raises ValueError where a score is undefined: no rows, logits not finite, labels of a
    single class.
    """
    if len(logits) == 0:
        raise ValueError("no rows to score; give the split some rows")
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite to be scored")
    if kind == "binary":
        return _binary(logits.reshape(-1), labels)
    if kind == "multiclass":
        probability = softmax(logits.astype(float), axis=1)
        return _multiclass(logits.argmax(1), labels) | {
            "ece": calibration_error(probability.max(1), logits.argmax(1) == labels)
        }
    if kind == "multilabel":
        each = [_binary(logits[:, k], labels[:, k], f"label {k}: ") for k in range(logits.shape[1])]
        return {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}
    raise ValueError(f"the kind of a task must be one of {', '.join(get_args(Kind))}, but got {kind!r}")


def one_score(kind: str, metric: str, logits: Array, labels: Array) -> float:
    """One of the scores of `evaluate_scores`, in a fraction of the time: for intervals, which need it many times.
    Raises ValueError where undefined.
    """
    if metric not in ("accuracy", "balanced_accuracy", "macro_f1"):
        return evaluate_scores(kind, logits, labels)[metric]
    if kind == "multiclass":
        return _of_confusion(metric, confusion(logits, labels))
    predicted, true = logits > 0, labels.reshape(len(labels), -1) == 1
    # of each label: rows predicted positive and truly so, predicted positive, truly positive
    hits, predicted_rows, true_rows = (predicted & true).sum(0), predicted.sum(0), true.sum(0)
    neither = len(labels) - predicted_rows - true_rows + hits
    tables = zip(neither, predicted_rows - hits, true_rows - hits, hits, strict=True)
    return float(np.mean([_of_confusion(metric, np.array(cells).reshape(2, 2)) for cells in tables]))


def confusion(logits: Array, labels: Array) -> Array:
    """[K, K]: rows of class i that were taken for class j. binary: logits [N, 1]."""
    classes = max(logits.shape[1], 2)
    predicted = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(int)
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def predicted_labels(kind: str, logits: Array) -> Array:
    """What logits say, in the form of labels: [N] of classes, of a multi-label task [N, K] of 0/1."""
    if kind == "multiclass":
        return np.asarray(logits.argmax(1))
    positive = (logits > 0).astype(int)
    return positive[:, 0] if kind == "binary" else positive


def bin_of(probability: Array) -> Array:
    """Which of BINS bins each probability is in [N]; 1 is in the last."""
    return np.asarray(np.minimum((probability * BINS).astype(int), BINS - 1))


def calibration_error(probability: Array, happened: Array, weight: Array | None = None) -> float:
    """Mean distance of probability [N] and frequency over BINS bins, weighted by their rows (expected calibration
    error). weight [N]: how much each row counts; None: all alike.
    """
    bins, weight = bin_of(probability), np.ones(len(probability)) if weight is None else weight
    gaps = np.bincount(bins, weight * probability, BINS) - np.bincount(bins, weight * happened, BINS)
    return float(np.abs(gaps).sum() / weight.sum())


def equal_error_rate(labels: Array, logits: Array) -> float:
    """The rate at which false positives are as frequent as false negatives: where the ROC curve, its points joined by
    straight lines, meets that diagonal. All [N].
    """
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(labels, logits, drop_intermediate=False)
    difference = false_positive - (1 - true_positive)
    after = int(np.argmax(difference >= 0))
    before = after - 1
    share = -difference[before] / (difference[after] - difference[before])
    return float(false_positive[before] + share * (false_positive[after] - false_positive[before]))


def _of_confusion(metric: str, table: Array) -> float:
    """A score from a table of rows by true class and predicted class."""
    hits, true_rows, predicted_rows = table.diagonal(), table.sum(1), table.sum(0)
    if np.count_nonzero(true_rows) < 2:
        raise ValueError("all rows are of one class, so scores are undefined; add rows of other classes")
    if metric == "accuracy":
        return float(hits.sum() / table.sum())
    if metric == "balanced_accuracy":
        return float((hits[true_rows > 0] / true_rows[true_rows > 0]).mean())
    occurs = true_rows + predicted_rows > 0  # as in scikit-learn, a class that is nowhere does not count
    return float((2 * hits[occurs] / (true_rows + predicted_rows)[occurs]).mean())


def _binary(logits: Array, labels: Array, label_name: str = "") -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores = _multiclass((logits > 0).astype(int), labels, label_name)
    ranked = {
        "auc": roc_auc_score(labels, logits),
        "average_precision": average_precision_score(labels, logits),
        "eer": equal_error_rate(labels, logits),
    }
    ranked["ece"] = calibration_error(expit(logits.astype(float)), labels)
    return scores | {name: float(value) for name, value in ranked.items()}


def _multiclass(predicted: Array, labels: Array, label_name: str = "") -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(
            f"{label_name}all {len(labels)} rows are of class {present[0]}, so scores are undefined; add rows of other "
            "classes"
        )
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": float(recall_score(labels, predicted, labels=present, average="macro")),
        "macro_f1": float(f1_score(labels, predicted, average="macro")),
    }
