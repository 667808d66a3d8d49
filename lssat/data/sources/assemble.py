"""Entries of a data set -> its listing, with the task that they are for; counts are taken and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lssat.data.cells import named
from lssat.data.prepared.counts import check_counts, with_counts
from lssat.data.prepared.table import DatasetInfo, Reject
from lssat.data.sources.listing import Entries, Listing, Media, Record
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.task import Kind
from lssat.text.did_you_mean import listed, nearest
from lssat.text.visible import on_one_line

DEEPFAKE_CLASSES = ("real", "fake")
Classes = tuple[Kind, tuple[str, ...]]
"""The kind of a task, and its class or label names."""


@dataclass(frozen=True)
class Layout:
    """What a reader says of a data set as a whole, see Listing and DatasetInfo. `options` are for `dataset.json`."""

    media: Media
    crop: bool
    columns: tuple[str, ...]
    options: Mapping[str, Any]


def assemble(root: Path, data: DataConfig, classes: Classes, entries: Entries, layout: Layout) -> Listing:
    """The listing of entries whose splits are complete; the data set is called by the name of `root`.

    Raises ConfigError (`check_counts`, `refuse_align`).
    """
    kind, names = classes
    finds_faces = layout.crop and not any(isinstance(entry, Record) and entry.box for entry in entries)
    if data.align and not finds_faces:
        refuse_align(data)
    info = DatasetInfo(
        source=on_one_line(root.name),
        task=data.task,
        kind=kind,
        classes=names,
        synthetic=False,
        columns=layout.columns,
        options={"task": data.task, "classes": data.classes, "seed": data.seed, **layout.options, **_align(data)},
        rejects=tuple(entry.shown()._asdict() for entry in entries if isinstance(entry, Reject)),
    )
    info = with_counts(info, ((entry.split, entry.label) for entry in entries if isinstance(entry, Record)))
    check_counts(info)
    return Listing(root, with_class_names(info, data), tuple(entries), layout.media, layout.crop)


def _align(data: DataConfig) -> dict[str, str]:
    """Only where it is asked for, so that data keep their description."""
    return {"align": data.align} if data.align else {}


def refuse_align(data: DataConfig) -> None:
    """For data in which no face is sought, so that none can be turned. Raises ConfigError."""
    raise ConfigError(
        f"`data.align: {data.align}` turns faces that are found in videos, but in `{data.source}` none is sought: "
        "pictures are taken as they are, or boxes of its own say where a face is; leave it out, or give videos"
    )


def with_class_names(info: DatasetInfo, data: DataConfig) -> DatasetInfo:
    """`info` with its classes called as `data.class_names` has it. Raises ConfigError where that cannot be."""
    if data.class_names is None:
        return info
    task = f"task `{data.task}` of `{data.source}`"
    if info.kind == "multilabel":
        raise ConfigError(f"`data.class_names` names the classes of one label, but {task} has several; remove it")
    if len(data.class_names) != len(info.classes):
        raise ConfigError(
            f"`data.class_names` must name the {len(info.classes)} classes of {task}, in this order: "
            f"{listed(info.classes)}; but got {listed(data.class_names)}"
        )
    called = dict(zip(info.classes, data.class_names, strict=True))
    counts = {split: {called[name]: count for name, count in found.items()} for split, found in info.counts.items()}
    return replace(info, classes=tuple(data.class_names), counts=counts)


def numbered(entries: Entries) -> Entries:
    """Entries whose records know their position."""
    return [
        entry._replace(position=position) if isinstance(entry, Record) else entry
        for position, entry in enumerate(entries)
    ]


def pick_classes(found: Sequence[str], data: DataConfig) -> tuple[str, ...]:
    """The classes that `data.classes` keeps of those found, in the order found. Raises ConfigError for unknown ones.

    They may be named as a table or YAML writes them: `1.0` is the class `1`, and `True` is `true`.
    """
    task = f"task `{data.task}` of `{data.source}`"
    wanted: set[str] = set()
    for name in data.classes or ():
        spelled = [name] if name in found else [each for each in found if named(each) == named(name)]
        wanted.update(spelled)
        if not spelled:
            raise ConfigError(
                f"`data.classes` names `{name}`, which {task} does not have; {nearest(name, found, 'its classes are')}"
            )
    kept = tuple(name for name in found if data.classes is None or name in wanted)
    if len(kept) < 2:
        what = "all labels are" if data.classes is None else "`data.classes` keeps only"
        raise ConfigError(f"{what} {listed(kept) or 'none'} in {task}; a task needs at least two classes")
    return kept


def refuse_classes(data: DataConfig) -> None:
    """For tasks whose classes cannot be chosen. Raises ConfigError."""
    if data.classes is not None:
        raise ConfigError(f"`data.classes` cannot be chosen in task `{data.task}` of `{data.source}`; remove it")


def deepfake_task(data: DataConfig) -> Classes:
    """Real or fake: the only task of the deepfake data sets. Raises ConfigError for another."""
    if data.task != "deepfake":
        raise ConfigError(f"`data.task` of `{data.source}` must be deepfake, but got `{data.task}`; leave it out")
    refuse_classes(data)
    return "binary", DEEPFAKE_CLASSES
