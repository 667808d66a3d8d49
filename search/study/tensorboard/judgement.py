"""How a complete run judges the validation rows: a curve of precision over recall for each class, and a picture of what
it takes for what.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from torch.utils.tensorboard.summary import pr_curve

from lssat.evaluation.metrics import Array, confusion
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import score_units
from search.record.predictions import KeptPredictions
from search.study.tensorboard.confusion_picture import Counts, draw
from search.study.tensorboard.event_file import png_summary

CONFUSION = "validation confusion"
OUTCOMES = ("true positives", "false negatives", "false positives", "true negatives")


def judgement(kept: KeptPredictions) -> Iterator[Any]:
    """The summaries of kept predictions, of videos where these are what is scored."""
    about, task = kept.about, kept.about.scored_task
    units, _ = score_units(task, kept.predictions, kept.texts)
    for name, probability, is_true in _of_classes(kept, units):
        if is_true.any():  # else there is no recall
            yield pr_curve(f"{about.split}/{name}", is_true, probability)  # type: ignore[no-untyped-call]
    of = "videos" if len(units.labels) < len(kept.predictions.labels) else "images"
    counts = _of_labels(about.classes, units) if about.kind == "multilabel" else _of_confusion(about.classes, units)
    yield png_summary(CONFUSION, draw(counts, f"{len(units.labels):,} {of} of validation, percent of each truth"))


def _of_classes(kept: KeptPredictions, units: Predictions) -> Iterator[tuple[str, Array, Array]]:
    """Name, probability [N] and truth [N] of the positive class, or of each class or label."""
    logits, labels, classes = units.logits.astype(float), units.labels, kept.about.classes
    if kept.about.kind == "binary":
        yield classes[1], expit(logits[:, 0]), labels == 1
        return
    is_multiclass = kept.about.kind == "multiclass"
    probability = softmax(logits, axis=1) if is_multiclass else expit(logits)
    for column, name in enumerate(classes):
        yield name, probability[:, column], labels == column if is_multiclass else labels[:, column] == 1


def _of_confusion(classes: tuple[str, ...], units: Predictions) -> Counts:
    """[K, K], a row for each true class."""
    table = confusion(*units)
    of = table.sum(1, keepdims=True).repeat(len(table), 1)
    return Counts(table, of, np.eye(len(table), dtype=bool), classes, classes, ("truth", "prediction"))


def _of_labels(classes: tuple[str, ...], units: Predictions) -> Counts:
    """[K, 4], a row for each label: those that have it, then those that have it not."""
    said, true = units.logits > 0, units.labels == 1
    table = np.stack([(said & true).sum(0), (~said & true).sum(0), (said & ~true).sum(0), (~said & ~true).sum(0)], 1)
    of = np.where([True, True, False, False], true.sum(0)[:, None], (~true).sum(0)[:, None])
    is_right = np.tile([True, False, False, True], (len(table), 1))
    return Counts(table, of, is_right, classes, OUTCOMES, ("label", "outcome"))
