"""Images whose label and whose models differ, for tables and contact sheets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lssat.data.prepared.table import read_images
from lssat.task import Task
from search.page.document import Cell, Statement
from search.page.predicted import Units
from search.page.sections.faces.sheet import Face, contact_sheet
from search.page.study import StudyOnPage

MOST_SHOWN = 24
MOST_LISTED = 200
ROWS = "row: of the prepared validation split, counted from 0."


@dataclass(frozen=True)
class Answered:
    """What is said of a unit, or of one attribute of it. unit: in the predictions. predicted: classes, of one model or
    of several; of an attribute 0 or 1.
    """

    unit: int
    attribute: int | None
    truth: int
    predicted: Collection[int]
    confidence: float


@dataclass(frozen=True)
class Labelled:
    """An image as it is shown. row: in the split; cells: in a table; lines: below its picture."""

    row: int
    cells: Sequence[Cell]
    lines: Sequence[str]


def columns(units: Units) -> list[str]:
    """The names of `Labelled.cells`."""
    attribute = ["attribute"] if units.task.kind == "multilabel" else []
    return ["row", *(["video"] if units.are_videos else []), "unit", *attribute, "label", "prediction", "confidence"]


def labelled(models: Sequence[Units], said: Answered) -> Labelled:
    """The image of an answer of these models, of the same units. Of a video it is the frame that they are surest of."""
    units = models[0]
    frames = units.frames(said.unit)
    row, video = _surest(models, frames, said), str(units.texts.video[said.unit])
    unit = str(units.texts.identity[said.unit])
    person = "" if unit.startswith("row ") else unit
    truth = in_words(units.task, said.attribute, said.truth)
    predicted = ", ".join(in_words(units.task, said.attribute, each) for each in dict.fromkeys(said.predicted))
    name = units.task.classes[said.attribute] if said.attribute is not None else None
    first, second = (name, f"is {truth}, said {predicted}") if name else (f"is {truth}", f"said {predicted}")
    whose = f"video {video}" if video else f"person {person}" if person else ""
    below = [f"{said.confidence:.1%}, row {row}", *([whose] if whose else [])]
    cells: list[Cell] = [row, *([video] if units.are_videos else []), person, *([name] if name else [])]
    return Labelled(row, [*cells, truth, predicted, said.confidence], [first, second, *below])


def in_words(task: Task, attribute: int | None, value: int) -> str:
    """A class by its name, of an attribute whether it is there."""
    return task.classes[value] if attribute is None else ("yes" if value else "no")


def why_no_faces(study: StudyOnPage) -> str:
    """Why pictures of the data cannot be shown, in words; empty where they can."""
    if not study.with_faces:
        return "pictures of faces were left out, as asked"
    if study.prepared is None:
        return "the prepared data are gone, or are no longer those that the study saw"
    return ""


def sheet_of(study: StudyOnPage, images: Sequence[Labelled]) -> bytes | None:
    """The contact sheet of the first of these images of validation; None where they cannot be read."""
    shown = images[:MOST_SHOWN]
    assert study.prepared, "ask why_no_faces first"
    try:
        files = read_images(study.prepared, "val", [image.row for image in shown])
    except (OSError, KeyError, pa.ArrowException):
        return None
    return contact_sheet([Face(file, image.lines) for file, image in zip(files, shown, strict=True)])


def may_be_shared(study: StudyOnPage, id: str) -> list[Statement]:
    """What whoever sends the page must think of first; nothing where no person was photographed."""
    if study.data.get("synthetic") or not study.with_faces:
        return []
    text = (
        "This page contains images of your validation data: check that you may share them. --no-faces leaves them out."
    )
    return [Statement(id, text, is_warning=True)]


def _surest(models: Sequence[Units], frames: np.ndarray[tuple[int], np.dtype[np.int64]], said: Answered) -> int:
    if len(frames) == 1:
        return int(frames[0])
    logits = np.mean([model.of_rows.logits[frames, 0] for model in models], axis=0)
    return int(frames[logits.argmin() if said.truth else logits.argmax()])
