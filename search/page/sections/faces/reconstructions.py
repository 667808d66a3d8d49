"""What the decoder rebuilds of hidden patches: the last panel of the run that was chosen, and of other finalists."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from lssat.model import catalog
from search.page.document import Block, Picture, Section, Statement
from search.page.sections.faces import labelled
from search.page.study import StudyOnPage
from search.record.folder import Stage
from search.record.trials import TrialRecord

MOST_OTHERS = 4
MOST_BYTES = 600_000
"""Of a panel that is shown as it was kept."""
LARGE, SMALL = 1200, 600
"""Widths in pixels of others."""
QUALITY = 88
CAPTION = (
    "From left to right: the image, what the encoder saw, what was to be rebuilt, what was rebuilt, after the last "
    "epoch. All runs are shown with the same faces of validation, and hide the same patches where these are as large."
)


def section(study: StudyOnPage) -> Section | None:
    """None before any run has had its full budget."""
    if not study.chosen:
        return None
    return Section("reconstructions", "Reconstructions", list(_blocks(study)))


def _blocks(study: StudyOnPage) -> Iterator[Block]:
    chosen = study.chosen
    assert chosen
    own = study.folder.record(chosen.stage, chosen.run)
    others = _of_other_arms(study) if chosen.stage is Stage.FINAL else []
    if not study.with_faces:
        yield Statement(f"{study.id}.reconstructions.faces", "Pictures of faces were left out, as asked.")
        return
    if not own.config.trains_auxiliary:
        yield Statement(f"{study.id}.reconstructions.none", f"{own.name} was trained without the auxiliary task.")
    elif not own.panel.exists():
        text = f"Run {own.name} has kept no picture of what it rebuilt ({own.panel.name})."
        yield Statement(f"{study.id}.reconstructions.lacking", text)
    shown = [record for record in (own, *others) if record.panel.exists()]
    if shown:
        yield from labelled.may_be_shared(study, f"{study.id}.reconstructions.sharing")
    for record in shown[: 1 + MOST_OTHERS]:
        yield _picture(study, record, is_small=record is not own)


def _of_other_arms(study: StudyOnPage) -> list[TrialRecord]:
    """Of each arm that rebuilds, beside the chosen run's, its first run with a panel; the best arm first."""
    chosen = study.chosen
    first: dict[str, TrialRecord] = {}
    for run in study.runs:
        record = study.folder.record(Stage.FINAL, run.name)
        if run.arm.config.trains_auxiliary and record.panel.exists():
            first.setdefault(run.arm.name, record)
    own = next((run.arm.name for run in study.runs if chosen and run.name == chosen.run), "")
    return [first[row.arm] for row in study.table if row.arm in first and row.arm != own]


def _picture(study: StudyOnPage, record: TrialRecord, is_small: bool) -> Picture:
    content, backbone = record.panel.read_bytes(), catalog.architecture(record.config.backbone)
    is_light = not is_small and len(content) <= MOST_BYTES
    return Picture(
        study.file(f"reconstruction-{record.name}"),
        f"{record.name}: {backbone}, {record.config.streams}",
        content if is_light else _lighter(content, SMALL if is_small else LARGE),
        f"faces, their hidden patches, and what {record.name} rebuilt of them",
        "" if is_small else CAPTION,
        "png" if is_light else "jpeg",
        is_small=is_small,
    )


def _lighter(content: bytes, width: int) -> bytes:
    """The panel as a JPEG, at most so wide: several of photographs would make a page too heavy to be sent."""
    panel, out = Image.open(io.BytesIO(content)).convert("RGB"), io.BytesIO()
    panel.thumbnail((width, panel.height))
    panel.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()
