"""What is scored as one: a video in deepfake detection, where rows are frames of videos; else each row. And what is
scored at all, where values of a column are held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from lssat.evaluation.fairness import Groups
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import mean_logits
from lssat.task import Task

FRAME = "frame_"
"""What the scores of frames are called by, where it is videos that are scored."""


class Domains(NamedTuple):
    """Masks of rows [N]: those that a score is of, with a held-out value, and those with another. In both are rows
    without a value (real faces have no method) and, where the held-out rows are of one class, those of other classes
    whose value is none of it (the method of real videos is called `youtube`).
    """

    held_out: Array
    in_domain: Array


@dataclass(frozen=True)
class RowTexts:
    """What is known of each row of a split beside image and label, in words [N]; empty where nothing is.

    `values`: of the column of which some are held out; None where none are.
    """

    identity: Array
    video: Array
    groups: Groups
    values: Array | None = None

    @classmethod
    def of_columns(
        cls, texts: Mapping[str, Array], subgroups: Sequence[str] = (), hold_out: str | None = None
    ) -> RowTexts:
        """From all columns of a split; `subgroups` names those that tell groups apart, `hold_out` that of which values
        are held out.
        """
        groups = {name: texts[name] for name in subgroups}
        return cls(texts["identity"], texts["video"], groups, texts[hold_out] if hold_out else None)

    def domains(self, held_out: Sequence[str] | None, labels: Array) -> Domains | None:
        """Which rows are scored, where these values are held out; None: all of them. labels: of the rows."""
        values = self.values
        if values is None:
            return None
        is_held_out, is_in_both = np.isin(values, held_out or []), values == ""
        if labels.ndim == 1 and len(classes := np.unique(labels[is_held_out])) == 1:
            of_class = labels == classes[0]
            is_in_both = is_in_both | (~of_class & ~np.isin(values, np.unique(values[of_class])))
        return Domains(is_held_out | is_in_both, ~is_held_out)

    def of(self, rows: Array) -> RowTexts:
        """Those of some rows, given by their positions."""
        groups = {name: words[rows] for name, words in self.groups.items()}
        values = None if self.values is None else self.values[rows]
        return RowTexts(self.identity[rows], self.video[rows], groups, values)

    @property
    def has_videos(self) -> bool:
        """Whether any row is a frame of a video."""
        return bool((self.video != "").any())


def scores_videos(task: Task, texts: RowTexts) -> bool:
    """Whether the rows of a split are scored by the videos that they are frames of."""
    return task.is_deepfake and texts.has_videos


def scored_by(task: Task, texts: RowTexts) -> Literal["row", "video"]:
    """What a score of a split is taken over."""
    return "video" if scores_videos(task, texts) else "row"


def score_units(
    task: Task, predictions: Predictions, texts: RowTexts, by_group: bool = False
) -> tuple[Predictions, RowTexts]:
    """What is scored as one, and what is known of it. `texts`: in the order of the predictions.

    `by_group`: frames of a video that are in different subgroups are apart, so that every unit is of one subgroup.
    """
    return of_videos(predictions, texts, by_group) if scores_videos(task, texts) else (predictions, texts)


def of_videos(predictions: Predictions, texts: RowTexts, by_group: bool = False) -> tuple[Predictions, RowTexts]:
    """The frames of each video as one, whose probability is the mean of theirs; what is known is that of the first.

    A row without a video is one by itself. Frames of a video that differ in their label are apart: a video may be
    forged in a part of its frames. Binary tasks only.
    """
    alone = np.where(texts.video == "", np.arange(len(texts.video)), -1)
    columns = [texts.video, alone, predictions.labels, *(texts.groups.values() if by_group else ())]
    _, first, unit = np.unique(_numbered(columns), return_index=True, return_inverse=True)
    return Predictions(mean_logits("binary", predictions.logits, unit), predictions.labels[first]), texts.of(first)


def texts_to_send(task: Task, texts: RowTexts) -> RowTexts | None:
    """What the scores of an epoch read of these, small, since every worker gets it: numbers for the names of videos,
    and no identities. None where they read nothing.
    """
    has_videos = scores_videos(task, texts)
    if not has_videos and not texts.groups and texts.values is None:
        return None
    nothing = np.full(len(texts.video), "")
    if not has_videos:
        return RowTexts(nothing, nothing, texts.groups, texts.values)
    names, number = np.unique(texts.video, return_inverse=True)
    short = np.array([str(index) if name else "" for index, name in enumerate(names)])
    return RowTexts(nothing, short[number], texts.groups, texts.values)


def _numbered(columns: Sequence[Array]) -> Array:
    """A number for each distinct row of several columns, in their order [N]."""
    numbers = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, number = np.unique(column, return_inverse=True)
        _, numbers = np.unique(numbers * len(values) + number, return_inverse=True)
    return numbers
