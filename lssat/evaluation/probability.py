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


def mean_logits(kind: Kind, logits: Array) -> Array:
    """[N, K] logits of a video's frames -> [1, K]: those of the mean of their probabilities, as videos are scored. A
    single frame, or a photo, keeps its own, however extreme: a temperature divides them still.
    """
    if len(logits) == 1:
        return logits
    mean = np.clip(probabilities("multilabel" if kind == "binary" else kind, logits).mean(0), CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(mean) if kind == "multiclass" else logit(mean))[None]
