"""What a model says of the rows of a split, beside what is true."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lssat.evaluation.metrics import Array


class Predictions(NamedTuple):
    """Logits [N, K], K = 1 for a binary task, and the labels [N], of a multi-label task [N, K], that are true."""

    logits: Array
    labels: Array

    def of(self, rows: Array) -> Predictions:
        """Those of some rows, given by their positions or by a mask [N]."""
        return Predictions(self.logits[rows], self.labels[rows])

    def without_labels(self, columns: list[int]) -> Predictions:
        """Those of the other labels of a multi-label task."""
        if not columns:
            return self
        return Predictions(np.delete(self.logits, columns, 1), np.delete(self.labels, columns, 1))
