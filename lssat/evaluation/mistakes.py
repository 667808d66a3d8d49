"""Where models are wrong and sure of it: the worst mistakes of one, and rows whose label several of them doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lssat.evaluation.metrics import Array, predicted_labels
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import probabilities
from lssat.task import Kind

CONFIDENT = 0.8
"""Mean confidence of models that doubt a label, at least."""
DIGITS = 9
"""Confidences that are alike in so many are equal: the rest is rounding."""


class Mistake(NamedTuple):
    """One wrong answer. `row`: in the predictions; `attribute`: which label of a multi-label task, else None. `truth`
    and `predicted` are classes, of an attribute 0 or 1. `confidence`: probability of what was predicted.
    """

    row: int
    attribute: int | None
    truth: int
    predicted: int
    confidence: float


class Doubt(NamedTuple):
    """A label that all models contradict. `predicted`: what each says; `confidence`: the mean of theirs."""

    row: int
    attribute: int | None
    truth: int
    predicted: tuple[int, ...]
    confidence: float


def worst_mistakes(kind: Kind, predictions: Predictions, most: int) -> list[Mistake]:
    """The `most` mistakes that the model is surest of, the surest first; equally sure ones in the order of rows."""
    predicted, confidence = _answers(kind, predictions.logits)
    truth = _as_columns(predictions.labels)
    return [
        Mistake(row, _attribute(kind, column), int(truth[row, column]), int(predicted[row, column]), sure)
        for row, column, sure in _surest(predicted != truth, confidence)[:most]
    ]


def doubtful_labels(kind: Kind, models: Sequence[Predictions], least_confidence: float = CONFIDENT) -> list[Doubt]:
    """The labels that every model contradicts, with a mean confidence of at least `least_confidence`; the surest first,
    equally sure ones in the order of rows. `models`: seeds or arms, over the same rows.

    Fewer than two models doubt no label: the mistakes of one are its own.
    """
    if len(models) < 2:
        return []
    if any(not np.array_equal(each.labels, models[0].labels) for each in models):
        raise ValueError("the models must be of the same rows, but their labels differ")
    answers = [_answers(kind, each.logits) for each in models]
    predicted = np.stack([labels for labels, _ in answers])
    # sorted, so that the sum of floats is the same in whatever order the models are given
    confidence = np.sort([sure for _, sure in answers], axis=0).mean(axis=0)
    truth = _as_columns(models[0].labels)
    is_doubted = (predicted != truth).all(axis=0) & (confidence >= least_confidence)
    return [
        Doubt(
            row,
            _attribute(kind, column),
            int(truth[row, column]),
            tuple(map(int, predicted[:, row, column])),
            sure,
        )
        for row, column, sure in _surest(is_doubted, confidence)
    ]


def _answers(kind: Kind, logits: Array) -> tuple[Array, Array]:
    """What is said of each row, or of each attribute of each row, and its probability. Both [N, 1 or K]."""
    predicted, probability = _as_columns(predicted_labels(kind, logits)), probabilities(kind, logits)
    if kind == "multilabel":
        return predicted, np.where(predicted == 1, probability, probabilities(kind, -logits))
    return predicted, np.take_along_axis(probability, predicted, axis=1)


def _surest(chosen: Array, confidence: Array) -> list[tuple[int, int, float]]:
    """Row, column and confidence of the chosen cells [N, C], the highest confidence first, else in their order."""
    rows, columns = np.nonzero(chosen)
    sure = confidence[rows, columns]
    order = np.argsort(-sure.round(DIGITS), kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), sure[order].tolist(), strict=True))


def _as_columns(labels: Array) -> Array:
    return labels.reshape(len(labels), -1)


def _attribute(kind: Kind, column: int) -> int | None:
    return column if kind == "multilabel" else None
