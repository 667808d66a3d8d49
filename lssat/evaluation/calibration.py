"""Probabilities that mean what they say: logits divided by one temperature, fitted on validation (Guo et al., arXiv
1706.04599).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from lssat.evaluation.metrics import calibration_error
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import probabilities
from lssat.evaluation.units import RowTexts, score_units, scores_videos
from lssat.task import Kind, Task

LARGEST = 100.0  # temperature; its inverse is the smallest: a model that is never wrong on validation has none


def fit_temperature(kind: Kind, predictions: Predictions) -> float:
    """The temperature at which these labels are likeliest. Labels and their order never change by it."""

    def loss(log_temperature: float) -> float:
        return _negative_log_likelihood(kind, predictions, float(np.exp(log_temperature)))

    bound = np.log(LARGEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def calibration(task: Task, predictions: Predictions, texts: RowTexts) -> dict[str, Any]:
    """The temperature, from how many videos or photos, and the calibration error before and after, on the same ones.

    `texts`, in the order of the predictions: frames of a video are one where they are scored as one.
    """
    units, _ = score_units(task, predictions, texts)
    temperature = fit_temperature(task.kind, units)
    return {
        "temperature": temperature,
        "units": len(units.labels),
        "of": "videos" if scores_videos(task, texts) else "photos",
        "ece_before": _error(task.kind, units, 1.0),
        "ece_after": _error(task.kind, units, temperature),
    }


def _negative_log_likelihood(kind: Kind, predictions: Predictions, temperature: float) -> float:
    scaled, labels = predictions.logits.astype(np.float64) / temperature, predictions.labels
    if kind == "multiclass":
        return float(-log_softmax(scaled, axis=1)[np.arange(len(labels)), labels].mean())
    true = labels.reshape(scaled.shape)
    return float((np.logaddexp(0, scaled) - true * scaled).mean())


def _error(kind: Kind, predictions: Predictions, temperature: float) -> float:
    """As `metrics.evaluate_scores` has it: of the positive class, of the predicted one, or the mean over labels."""
    probability, labels = probabilities(kind, predictions.logits, temperature), predictions.labels
    if kind == "multiclass":
        return calibration_error(probability.max(1), probability.argmax(1) == labels)
    if kind == "binary":
        return calibration_error(probability[:, 1], labels)
    return float(np.mean([calibration_error(probability[:, k], labels[:, k]) for k in range(labels.shape[1])]))
