"""Probabilities that mean what they say: logits divided by one temperature, fitted on validation (Guo et al., arXiv
1706.04599).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from lssat.evaluation.metrics import Array, calibration_error
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import probabilities
from lssat.evaluation.units import RowTexts, score_units, scores_videos
from lssat.task import Kind, Task

LARGEST = 100.0  # temperature; its inverse is the smallest: a model that is never wrong on validation has none


def fit_temperature(kind: Kind, predictions: Predictions, weight: Array) -> float:
    """The temperature at which these labels are likeliest. Labels and their order never change by it. weight: how much
    each row counts, of the shape of `labels`.
    """

    def loss(log_temperature: float) -> float:
        return _negative_log_likelihood(kind, predictions, weight, float(np.exp(log_temperature)))

    bound = np.log(LARGEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def calibration(task: Task, predictions: Predictions, texts: RowTexts, evenly: bool = False) -> dict[str, Any]:
    """The temperature, from how many videos or photos, and the calibration error before and after, on the same ones.

    `texts`, in the order of the predictions: frames of a video are one where they are scored as one. `evenly`: all
    classes count as equally frequent, as they did in training: a model made so foretells no other frequencies, and a
    temperature cannot teach it any.
    """
    units, _ = score_units(task, predictions, texts)
    weight = _even_weight(units.labels) if evenly else np.ones(units.labels.shape)
    temperature = fit_temperature(task.kind, units, weight)
    return {
        "evenly": evenly,
        "temperature": temperature,
        "units": len(units.labels),
        "of": "videos" if scores_videos(task, texts) else "photos",
        "ece_before": _error(task.kind, units, weight, 1.0),
        "ece_after": _error(task.kind, units, weight, temperature),
    }


def _even_weight(labels: Array) -> Array:
    """labels: classes [N], or [N, K] of 0/1. Rows of each class, or with and without a label, sum up to the same."""
    if labels.ndim == 2:
        return np.stack([_even_weight(column) for column in labels.T], axis=1)
    return np.asarray(1 / np.bincount(labels)[labels])


def _negative_log_likelihood(kind: Kind, predictions: Predictions, weight: Array, temperature: float) -> float:
    scaled, labels = predictions.logits.astype(np.float64) / temperature, predictions.labels
    if kind == "multiclass":
        return float(np.average(-log_softmax(scaled, axis=1)[np.arange(len(labels)), labels], weights=weight))
    true = labels.reshape(scaled.shape)
    return float(np.average(np.logaddexp(0, scaled) - true * scaled, weights=weight.reshape(scaled.shape)))


def _error(kind: Kind, predictions: Predictions, weight: Array, temperature: float) -> float:
    """As `metrics.evaluate_scores` has it: of the positive class, of the predicted one, or the mean over labels."""
    probability, labels = probabilities(kind, predictions.logits, temperature), predictions.labels
    if kind == "multiclass":
        return calibration_error(probability.max(1), probability.argmax(1) == labels, weight)
    if kind == "binary":
        return calibration_error(probability[:, 1], labels, weight)
    columns = zip(probability.T, labels.T, weight.T, strict=True)
    return float(np.mean([calibration_error(*column) for column in columns]))
