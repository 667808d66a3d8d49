"""Scores of a task from the logits of a whole split, by scikit-learn."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from lssat.task import Kind

Array = NDArray[Any]


def evaluate_scores(kind: str, logits: Array, labels: Array) -> dict[str, float]:
    """Scores of `logits` [N, K] against `labels`: [N] of 0/1 (binary, K = 1) or classes (multiclass), [N, K] of 0/1 (multilabel).

    binary: accuracy, balanced accuracy, macro-F1 (mean over both classes) at probability 0.5, and AUC. multiclass: accuracy, balanced
    accuracy (mean recall over the classes among the labels), macro-F1 (mean over the classes among labels or predictions). multilabel: the
    binary scores, mean over labels. Raises ValueError where a score is undefined: no rows, logits not finite, labels of a single class.
    """
    if len(logits) == 0:
        raise ValueError("no rows to score; give the split some rows")
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite to be scored")
    if kind == "binary":
        return _binary(logits.reshape(-1), labels, "")
    if kind == "multiclass":
        return _multiclass(logits.argmax(1), labels)
    if kind == "multilabel":
        each = [_binary(logits[:, k], labels[:, k], f"label {k}: ") for k in range(logits.shape[1])]
        return {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}
    raise ValueError(f"the kind of a task must be one of {', '.join(get_args(Kind))}, but got {kind!r}")


def _binary(logits: Array, labels: Array, where: str) -> dict[str, float]:
    scores = _multiclass((logits > 0).astype(int), labels, where)
    return {**scores, "auc": float(roc_auc_score(labels, logits))}


def _multiclass(predictions: Array, labels: Array, where: str = "") -> dict[str, float]:
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(f"{where}all {len(labels)} rows are of class {present[0]}, so scores are undefined; add rows of other classes")
    return {
        "accuracy": float(accuracy_score(labels, predictions)),
        "balanced_accuracy": float(recall_score(labels, predictions, labels=present, average="macro")),
        "macro_f1": float(f1_score(labels, predictions, average="macro")),
    }
