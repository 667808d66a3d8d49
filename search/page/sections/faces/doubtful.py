"""Labels that all runs of the final stage contradict, and are sure: some of them may be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lssat.evaluation.mistakes import CONFIDENT, Doubt, doubtful_labels
from search.page.document import Block, Picture, Section, Statement, Table
from search.page.predicted import Units
from search.page.sections.faces import labelled, sheet
from search.page.sections.faces.labelled import MOST_LISTED, MOST_SHOWN, Answered, Labelled
from search.page.study import StudyOnPage
from search.record.folder import Stage

TITLE = "Doubtful labels"
CAPTION = (
    "Below each face: what its label says, what the models say, the mean of their confidences, and its row in the "
    "validation split. Look before you change a label: models that learnt from the same data share their mistakes."
)


def section(study: StudyOnPage) -> Section | None:
    """None where there was no final stage."""
    if not study.chosen or study.chosen.stage is not Stage.FINAL:
        return None
    models = list(study.predicted.finals.values())
    if len(models) < 2:
        text = f"Doubtful labels take the kept predictions of two final runs, but there are those of {len(models)}."
        return Section("doubtful", TITLE, [Statement(f"{study.id}.doubtful.lacking", text)])
    return Section("doubtful", TITLE, list(_blocks(study, models)))


def _blocks(study: StudyOnPage, models: Sequence[Units]) -> Iterator[Block]:
    found = doubtful_labels(models[0].task.kind, [model.predictions for model in models])
    table = study.file("doubtful_labels")
    runs = f"all {len(models)} runs of the final stage"
    what = "labels" if models[0].task.kind == "multilabel" else f"labels of {models[0].called}"
    total = models[0].predictions.labels.size
    how_many = f"{len(found) or 'None'} of {total:,} {what} of validation are contradicted by {runs}"
    yield Statement(
        f"{study.id}.doubtful.count",
        f"{how_many}, with a mean confidence of at least {CONFIDENT:.0%}.",
        data=f"{table}.csv" if found else "",
    )
    if not found:
        return
    images = [_image(models, doubt) for doubt in found[:MOST_LISTED]]
    yield from _picture(study, images, runs)
    yield Table(
        table,
        f"Labels that {runs} contradict, the surest first",
        labelled.columns(models[0]),
        [image.cells for image in images],
        f"{labelled.ROWS} confidence: mean over the runs, each of what it said. At most {MOST_LISTED} are listed.",
        shown=10,
    )


def _image(models: Sequence[Units], doubt: Doubt) -> Labelled:
    """What most say comes first."""
    said = sorted(set(doubt.predicted), key=lambda each: (-doubt.predicted.count(each), each))
    return labelled.labelled(models, Answered(doubt.row, doubt.attribute, doubt.truth, said, doubt.confidence))


def _picture(study: StudyOnPage, images: list[Labelled], runs: str) -> Iterator[Block]:
    content = None if labelled.why_no_faces(study) else labelled.sheet_of(study, images)
    if content is not None:
        yield Picture(
            study.file("doubtful"),
            f"Are these labels right? {runs[0].upper()}{runs[1:]} say otherwise",
            content,
            f"{min(len(images), MOST_SHOWN)} faces, each with its label, what the runs say and their mean confidence",
            CAPTION,
            sheet.SUFFIX,
        )
