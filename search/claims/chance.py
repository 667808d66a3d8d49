"""What a score is worth without looking: the most that guessing can expect to get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HALF = ("balanced_accuracy", "macro_f1", "auc")


def chance(kind: str, metric: str, counts: Sequence[int], rows: int) -> float:
    """The highest mean score of whoever answers without seeing the images but knows how frequent each answer is.

    `kind`: multiclass, binary or multilabel, whose score is the mean over its labels. `counts`: rows of each class
    (binary: of the negative and the positive one), or positives of each label of `rows` rows.

    Always the most frequent class is best for accuracy. For macro-F1 it is to guess each class as often as it occurs:
    a class of share p guessed with share q has F1 = 2pq / (p + q), whose sum over the classes is concave in q and has
    equal derivatives (1/2) at q = p, where it is the sum of p, which is 1. Mean recall is 1 / classes and AUC 1/2 for
    any guess; average precision is about the share of positives. Raises ValueError for another metric.
    """
    if kind == "multiclass":
        present = np.array([count for count in counts if count])
        if metric == "accuracy":
            return float(present.max() / present.sum())
        if metric in ("balanced_accuracy", "macro_f1"):
            return 1 / len(present)
    else:
        positives = np.array(counts[1:] if kind == "binary" else counts) / rows
        if metric == "accuracy":
            return float(np.maximum(positives, 1 - positives).mean())
        if metric == "average_precision":
            return float(positives.mean())
        if metric in HALF:
            return 0.5
    raise ValueError(f"nothing is known of chance for {metric} of a {kind} task")
