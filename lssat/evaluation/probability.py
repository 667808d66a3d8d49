"""What logits say as probabilities. It is imported without scikit-learn, so that a first answer comes soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, softmax

from lssat.task import Kind

if TYPE_CHECKING:
    from lssat.evaluation.metrics import Array

CERTAIN = 1e-12  # distance that a mean probability keeps from 0 and 1, so that its logit is finite


def probabilities(kind: Kind, logits: Array, temperature: float = 1.0) -> Array:
    """[N, K] logits -> [N, classes]: of a binary task both classes, of a multi-label one each label by itself."""
    scaled = logits.astype(np.float64) / temperature
    if kind == "multiclass":
        return np.asarray(softmax(scaled, axis=1))
    positive = np.asarray(expit(scaled))
    return np.concatenate([1 - positive, positive], axis=1) if kind == "binary" else positive


def mean_logits(kind: Kind, logits: Array, unit: Array | None = None) -> Array:
    """[N, K] logits of frames -> [U, K]: those of the mean of the probabilities of each video. unit [N]: which video a
    frame is of, from 0; all are of one where it is None. A single frame, or a photo, keeps its own, however extreme: a
    temperature divides them still.
    """
    unit = np.zeros(len(logits), np.int64) if unit is None else unit
    frames = probabilities("multilabel" if kind == "binary" else kind, logits)
    order = np.argsort(frames, axis=0)  # floats are added up in an order of their own, not that of the rows
    sums = [np.bincount(unit[rows], of[rows]) for of, rows in zip(frames.T, order.T, strict=True)]
    frames_of = np.bincount(unit)
    mean = np.clip(np.stack(sums, axis=1) / frames_of[:, None], CERTAIN, 1 - CERTAIN)
    found = np.asarray(np.log(mean) if kind == "multiclass" else logit(mean))
    single = frames_of[unit] == 1
    found[unit[single]] = logits[single]
    return found
