"""The worst mistakes of the run that was chosen: what it was surest of, and wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lssat.evaluation.metrics import predicted_labels
from lssat.evaluation.mistakes import worst_mistakes
from search.page.document import Block, Picture, Section, Statement, Table
from search.page.predicted import Units
from search.page.sections.faces import labelled, sheet
from search.page.sections.faces.labelled import MOST_LISTED, MOST_SHOWN, Answered, Labelled
from search.page.study import StudyOnPage

TITLE = "The worst mistakes"
CAPTION = (
    "Below each face: what its label says, what the model says, how sure it is, its row in the validation split and, "
    "where known, the video or person. The surest first, from left to right. From validation, so that nobody tunes by "
    "looking at test."
)


def section(study: StudyOnPage) -> Section | None:
    """None before any run has had its full budget."""
    if not study.chosen:
        return None
    kept = study.predicted.of_run
    if kept is None:
        text = f"The worst mistakes cannot be shown: {study.predicted.lacking}."
        return Section("mistakes", TITLE, [Statement(f"{study.id}.mistakes.lacking", text)])
    return Section("mistakes", TITLE, list(_blocks(study, kept)))


def _blocks(study: StudyOnPage, kept: Units) -> Iterator[Block]:
    found = worst_mistakes(kept.task.kind, kept.predictions, MOST_LISTED)
    said = [Answered(one.row, one.attribute, one.truth, [one.predicted], one.confidence) for one in found]
    images = [labelled.labelled([kept], answer) for answer in said]
    yield Statement(f"{study.id}.mistakes.count", _how_many(study, kept), data=study.predicted.file)
    if not images:
        return
    yield from _picture(study, images)
    yield Table(
        study.file("mistakes"),
        "The mistakes that it was surest of",
        labelled.columns(kept),
        [image.cells for image in images],
        f"{labelled.ROWS} unit: the person, where known. At most {MOST_LISTED} are listed.",
        shown=6,
    )


def _picture(study: StudyOnPage, images: list[Labelled]) -> Iterator[Block]:
    why = labelled.why_no_faces(study)
    content = None if why else labelled.sheet_of(study, images)
    if content is None:
        text = f"Their faces cannot be shown: {why or 'the prepared data cannot be read'}."
        yield Statement(f"{study.id}.mistakes.faces", text)
        return
    yield from labelled.may_be_shared(study, f"{study.id}.mistakes.sharing")
    count = min(len(images), MOST_SHOWN)
    yield Picture(
        study.file("worst_mistakes"),
        f"What {study.predicted.run} was surest of, and wrong",
        content,
        f"{count} faces, each with its label, the wrong answer and its probability; the table below has the same",
        CAPTION,
        sheet.SUFFIX,
    )


def _how_many(study: StudyOnPage, kept: Units) -> str:
    wrong = predicted_labels(kept.task.kind, kept.predictions.logits) != kept.predictions.labels
    count, total = int(np.count_nonzero(wrong)), wrong.size
    what = "answers, one for each attribute of each image" if wrong.ndim > 1 else kept.called
    return f"On validation {study.predicted.run} is wrong about {count:,} of {total:,} {what} ({count / total:.1%})."
