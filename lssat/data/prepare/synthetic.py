"""The synthetic faces as rows of a prepared data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from lssat.command import Notify
from lssat.data.pictures import open_picture
from lssat.data.prepare.progress import Progress
from lssat.data.prepared.hashing import thumbnail_of
from lssat.data.prepared.selection import Cell
from lssat.data.prepared.table import DatasetInfo, Label, Row
from lssat.data.sources.assemble import Classes, pick_classes, refuse_align, with_class_names
from lssat.data.sources.source import SYNTHETIC
from lssat.data.synthetic import generate as synthetic
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.task import Kind

METHOD = "method"
"""The column that says how a fake was made; empty for real faces."""


def synthetic_info(data: DataConfig) -> DatasetInfo:
    """What the faces of a task are; none is drawn. Raises ConfigError."""
    if data.align:
        refuse_align(data)
    kind, classes = _classes(data)
    columns = (METHOD,) if data.task == "deepfake" else ()
    return with_class_names(DatasetInfo(SYNTHETIC, data.task, kind, classes, synthetic=True, columns=columns), data)


def synthetic_cells(data: DataConfig) -> list[Cell]:
    """How each face is to be made, by split and label; none is drawn. Only those of deepfakes have a method."""
    if data.task != "deepfake":
        return []
    orders = synthetic.plan(data.task, data.num_images, data.image_size, data.seed)
    return [Cell(order.split, int(order.label > 0), synthetic.MADE[order.label]) for order in orders]


def synthetic_rows(data: DataConfig, notify: Notify) -> tuple[DatasetInfo, Iterator[Row]]:
    """What the faces of a task are, and the faces, rendered as they are taken. Raises ConfigError."""
    info = synthetic_info(data)
    (kind, classes), found = _classes(data), synthetic.CLASSES[data.task]
    index: dict[Label, int] = {found.index(name): position for position, name in enumerate(classes)}
    faces = synthetic.generate(data.task, data.num_images, data.image_size, data.seed)
    total = len(synthetic.plan(data.task, data.num_images, data.image_size, data.seed))
    rows = (
        Row(
            face.image,
            face.label if kind == "multilabel" else index[face.label],
            str(face.identity),
            face.split,
            columns=(face.method,) if info.columns else (),
            source=face.source,
            thumbnail=thumbnail_of(open_picture(face.image).picture),
        )
        for face in Progress(notify, "rendering synthetic faces", total).follow(faces)
        if kind == "multilabel" or face.label in index
    )
    return info, rows


def _classes(data: DataConfig) -> Classes:
    """The kind of the task, and those of its classes that are kept. Raises ConfigError."""
    if data.task not in synthetic.KINDS:
        raise ConfigError(
            f"`data.task` of synthetic faces must be one of {', '.join(synthetic.KINDS)}, but got `{data.task}`"
        )
    kind, found = cast(Kind, synthetic.KINDS[data.task]), synthetic.CLASSES[data.task]
    if kind != "multilabel":
        classes = pick_classes(found, data)
        return ("binary" if len(classes) == 2 else kind), classes
    if data.classes is not None:
        raise ConfigError(f"`data.classes` selects classes of one label, but task `{data.task}` has several; remove it")
    return kind, found
