"""What a data set says of itself before anything of it is opened, so that a mistake costs no preparation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from lssat.data.prepare.asked import with_faces
from lssat.data.prepare.joining import counts_in, joined_info, settings_of_parts
from lssat.data.prepare.prepare import check_prepared
from lssat.data.prepared.selection import Cell, cells_of
from lssat.data.prepared.table import INFO_FILE, SPLITS, DatasetInfo, Reject, read_info
from lssat.data.prepared.writing import check_listed
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import OWN, SYNTHETIC, located
from lssat.settings.data import DATASET, DataConfig
from lssat.text.visible import on_one_line

FOLDERS = "classes"
"""What the task of a folder of classes is called where nobody names it."""


class Look(NamedTuple):
    """`info`: with the rows and counts that are expected; without any of synthetic faces, and of videos, whose frames
    are yet to be counted. `samples`: the file, or the row of the table, that comes first in each split. `cells`: of the
    column of which values are held out; None where none are. `folds`: how many of its values are held out one after the
    other.
    """

    info: DatasetInfo
    samples: dict[str, str]
    cells: list[Cell] | None = None
    folds: int = 1


def look(data: DataConfig) -> Look:
    """What is there before any image is opened.

    Raises ConfigError for whatever is wrong with source, task, classes, columns or splits.
    """
    if len(data.sources) == 1:
        return _look_at_one(data)
    looks = {name: _look_at_one(part) for name, part in settings_of_parts(data).items()}
    info = joined_info({name: found.info for name, found in looks.items()}, data)
    samples: dict[str, str] = {}
    for name, found in looks.items():
        own = {split: sample for split, sample in found.samples.items() if counts_in(name, split, data)}
        samples = {split: f"{sample} ({name})" for split, sample in own.items()} | samples
    cells = None if data.hold_out is None else [*_joined_cells(looks, data)]
    return Look(info, {split: samples[split] for split in SPLITS if split in samples}, cells)


def _joined_cells(looks: Mapping[str, Look], data: DataConfig) -> Iterator[Cell]:
    """As of the whole, into which labels and names of data sets are translated as `interleaving` does it."""
    classes = next(iter(looks.values())).info.classes
    for name, found in looks.items():
        number = [classes.index(each) for each in found.info.classes]
        for split, label, value in found.cells or ():
            if not counts_in(name, split, data):
                continue
            if data.hold_out == DATASET:
                value = f"{name}/{value}" if value else name
            place = range(len(number))
            of_whole = number[label] if isinstance(label, int) else tuple(label[number.index(each)] for each in place)
            yield Cell(split, of_whole, value)


def _look_at_one(data: DataConfig) -> Look:
    source = located(data.sources[0])
    if source.kind == SYNTHETIC:
        from lssat.data.prepare.synthetic import synthetic_cells, synthetic_info  # what draws takes a while to import

        return Look(synthetic_info(data), {}, synthetic_cells(data) if data.hold_out else None)
    if (source.path / INFO_FILE).is_file():
        check_prepared(source.path, data)
        return Look(read_info(source.path), {}, cells_of(source.path, data.hold_out) if data.hold_out else None)
    listing = open_listing(source, data)
    rejects = [entry for entry in listing.entries if isinstance(entry, Reject)]
    check_listed(rejects, len(listing.entries), data.max_rejects)
    samples: dict[str, str] = {}
    for entry in listing.entries:
        if isinstance(entry, Record):
            name = on_one_line(entry.name) if isinstance(entry.name, str) else f"row {entry.name}"
            samples.setdefault(entry.split, name)
    samples = {split: samples[split] for split in SPLITS if split in samples}
    is_counted = listing.media != "videos"
    info = with_faces(listing.info, listing.crop)
    info = info if is_counted else replace(info, rows={}, counts={})
    return Look(info, samples, _cells(listing, data.hold_out))


def _cells(listing: Listing, column: str | None) -> list[Cell] | None:
    if column is None:
        return None
    columns = listing.info.columns
    place = columns.index(column) if column in columns else None
    records = (entry for entry in listing.entries if isinstance(entry, Record))
    return [Cell(each.split, each.label, "" if place is None else each.columns[place]) for each in records]


def is_class_folder(*texts: str) -> bool:
    """Whether sources are one's own folders with a folder per class, which name no task. Raises ConfigError."""
    sources = map(located, texts)
    return all(each.kind == OWN and each.path.is_dir() and not (each.path / INFO_FILE).is_file() for each in sources)
