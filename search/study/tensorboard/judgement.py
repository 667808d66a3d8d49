"""How a complete run judges the validation rows: a curve of precision over recall for each class, and a picture of what
it takes for what.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import expit
from torch.utils.tensorboard.summary import pr_curve

from lssat.evaluation.classes import PREDICTION, TRUTH, confusion_by_attribute, confusion_of
from lssat.evaluation.curves import against_the_others
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import score_units, scores_videos
from lssat.task import Task
from search.record.predictions import KeptPredictions
from search.study.tensorboard.confusion_picture import Counts, draw
from search.study.tensorboard.event_file import png_summary

CONFUSION = "validation confusion"
OUTCOMES = ("true positives", "false negatives", "false positives", "true negatives")


def judgement(kept: KeptPredictions) -> Iterator[Any]:
    """The summaries of kept predictions, of videos where these are what is scored."""
    about, task, kept = kept.about, kept.about.scored_task, kept.scored
    units, _ = score_units(task, kept.predictions, kept.texts)
    for name, score, is_true in against_the_others(task, units):
        probability = score if task.kind == "multiclass" else expit(score.astype(float))
        yield pr_curve(f"{about.split}/{name}", is_true, probability)  # type: ignore[no-untyped-call]
    of = "videos" if scores_videos(task, kept.texts) else "images"
    counts = _of_labels(task, units) if task.kind == "multilabel" else _of_classes(task, units)
    yield png_summary(CONFUSION, draw(counts, f"{len(units.labels):,} {of} of validation, percent of each truth"))


def _of_classes(task: Task, units: Predictions) -> Counts:
    """[K, K], a row for each true class."""
    table = confusion_of(task, units).counts
    of = table.sum(1, keepdims=True).repeat(len(table), 1)
    return Counts(table, of, np.eye(len(table), dtype=bool), task.classes, task.classes, (TRUTH, PREDICTION))


def _of_labels(task: Task, units: Predictions) -> Counts:
    """[K, 4], a row for each label: those that have it, then those that have it not."""
    tables = np.stack([of.counts[::-1, ::-1] for of in confusion_by_attribute(task, units).values()])
    of = tables.sum(2).repeat(2, axis=1)
    is_right = np.tile([True, False, False, True], (len(tables), 1))
    return Counts(tables.reshape(-1, 4), of, is_right, task.classes, OUTCOMES, ("label", "outcome"))
