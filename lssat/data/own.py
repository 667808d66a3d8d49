"""A user's own data: a CSV or Parquet table, or a folder with one folder per class.

A source is opened in two steps, so that mistakes answer before any image is touched: `open_source` reads names, labels and
splits; `read_rows` opens every image. Nothing is renamed, and whatever is left out is named with its reason.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lssat.config import ConfigError, DataConfig
from lssat.data.images import UnusableImage, check_image, in_threads, read_inside
from lssat.data.reading import Read, damaged, image_files, listed, nearest, read_source, source_path
from lssat.data.splits import assign_splits
from lssat.data.table import SPLITS, DatasetInfo, Label, Reject, Row, check_counts, classes_of, with_counts
from lssat.task import Kind

VAL_SHARE = TEST_SHARE = 0.15
BATCH_ROWS = 256


class Record(NamedTuple):
    """A row before its image is opened. `name`: its path, or its position in the table; `split`: "" where the data say nothing."""

    position: int
    name: str | int
    label: Label
    identity: str
    split: str


@dataclass(frozen=True)
class Source:
    """Own data, opened. `entries`: usable rows and rejects so far, in order; `info`: with the counts expected of `entries`."""

    path: Path
    info: DatasetInfo
    entries: tuple[Record | Reject, ...]
    images_inside: bool  # image bytes are a column of the table; else records name files
    shared_identities: int  # identities that the data's own splits put into more than one split


def open_source(data: DataConfig) -> Source:
    """Names, labels and splits of `data.source`, checked; no image is opened. Raises ConfigError."""
    path = source_path(data)
    read = read_source(path, data)
    kind, classes = _classes(read, data) if len(read.labels) == 1 else _label_names(read, data)
    entries = _entries(read, kind, classes)
    shared = _shared_identities(entries)
    entries, made = _complete_splits(entries, set(read.splits) & {*SPLITS, ""}, data.seed)
    info = DatasetInfo(
        source=path.name,
        task=data.task,
        kind=kind,
        classes=classes,
        synthetic=False,
        options={"task": data.task, "classes": data.classes, "seed": data.seed, **read.options, "splits": made},
        rejects=tuple(entry._asdict() for entry in entries if isinstance(entry, Reject)),
    )
    info = with_counts(info, ((entry.split, entry.label) for entry in entries if isinstance(entry, Record)))
    check_counts(info)
    return Source(path, info, tuple(entries), read.options["images"] == "bytes", shared)


def read_rows(source: Source) -> Iterator[Row | Reject]:
    """Every entry of the source once, its image decoded to prove that it can be.

    Image files come in a seeded random order, so that readers who can only shuffle a few thousand neighbours do not meet one class at
    a time; a table that holds its images is streamed in its own order.
    """
    root = (source.path if source.path.is_dir() else source.path.parent).resolve()

    def usable(item: tuple[Record | Reject, bytes | None]) -> Row | Reject:
        entry, image = item
        if isinstance(entry, Reject):
            return entry
        try:
            image = check_image(image if source.images_inside else read_inside(root, str(entry.name)))
        except UnusableImage as reason:
            return Reject(entry.name, str(reason))
        return Row(image, entry.label, entry.identity, entry.split)

    return in_threads(usable, _stored_images(source) if source.images_inside else _shuffled(source))


def fingerprint(data: DataConfig) -> str:
    """sha256 of what the source holds: a table's bytes; name, size and time of change of image files. Raises ConfigError."""
    path = source_path(data)
    digest = hashlib.sha256()
    root = path
    if path.is_file():
        root = path.parent
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for name in image_files(path):
        try:
            status = (root / name).stat()
            state = f"{status.st_size} {status.st_mtime_ns}"
        except (OSError, ValueError):
            state = "absent"
        digest.update(f"{name}\0{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def pick_classes(found: Sequence[str], data: DataConfig) -> tuple[str, ...]:
    """The classes that `data.classes` keeps of those found, in the order found. Raises ConfigError for unknown ones."""
    place = f"task `{data.task}` of `{data.source}`"
    for name in data.classes or ():
        if name not in found:
            raise ConfigError(f"`data.classes` names `{name}`, which {place} does not have; {nearest(name, found, 'its classes are')}")
    kept = tuple(name for name in found if data.classes is None or name in data.classes)
    if len(kept) < 2:
        what = "all labels are" if data.classes is None else "`data.classes` keeps only"
        raise ConfigError(f"{what} {listed(kept) or 'none'} in {place}; a task needs at least two classes")
    return kept


def _classes(read: Read, data: DataConfig) -> tuple[Kind, tuple[str, ...]]:
    """Classes of one label column: its distinct values, numbers by size."""
    found = sorted({str(value) for value in read.labels[0] if value is not None}, key=_rank)
    if not found:
        raise ConfigError(f"task `{data.task}` of `{data.source}` has no labels: every value is empty; fill the column or name another")
    classes = pick_classes(found, data)
    return "binary" if len(classes) == 2 else "multiclass", classes


def _rank(name: str) -> tuple[float, str]:
    try:
        number = float(name)
    except ValueError:
        return math.inf, name
    return (number, name) if math.isfinite(number) else (math.inf, name)


def _label_names(read: Read, data: DataConfig) -> tuple[Kind, tuple[str, ...]]:
    if data.classes is not None:
        raise ConfigError(f"`data.classes` selects classes of one label column, but `data.task` names several: {data.task}; drop one")
    names = tuple(name.strip() for name in data.task.split(","))
    for name, column in zip(names, read.labels, strict=True):
        odd = sorted({str(value) for value in column if value is not None} - {"0", "1"}, key=_rank)
        if odd:
            raise ConfigError(f"with several label columns each must hold 0 and 1, but `{name}` of `{data.source}` holds {listed(odd)}")
    return "multilabel", names


def _entries(read: Read, kind: Kind, classes: tuple[str, ...]) -> list[Record | Reject]:
    index = {name: position for position, name in enumerate(classes)}
    entries: list[Record | Reject] = []
    rows = zip(read.names, zip(*read.labels, strict=True), read.identities, read.splits, strict=True)
    for position, (name, values, identity, split) in enumerate(rows):
        if any(value is None for value in values):
            entries.append(Reject(name, "empty label"))
        elif kind != "multilabel" and str(values[0]) not in index:
            continue  # not among `data.classes`: not wanted, which is no fault of the row
        elif split and split not in SPLITS:
            entries.append(Reject(name, split))
        else:
            label = tuple(int(value) for value in values if value is not None) if kind == "multilabel" else index[str(values[0])]
            entries.append(Record(position, name, label, identity, split))
    return entries


def _shared_identities(entries: list[Record | Reject]) -> int:
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if isinstance(entry, Record) and entry.identity:
            splits[entry.identity].add(entry.split)
    return sum(len(found) > 1 for found in splits.values())


def _complete_splits(entries: list[Record | Reject], given: set[str], seed: int) -> tuple[list[Record | Reject], str]:
    """Cut the splits that the data do not bring out of train, or out of everything where they bring none. Says what was done."""
    source = "" if given == {""} else "train"
    missing = {name: share for name, share in (("val", VAL_SHARE), ("test", TEST_SHARE)) if name not in given}
    if source not in given or not missing:
        return entries, "as given"
    part = [entry for entry in entries if isinstance(entry, Record) and entry.split == source]
    shares = {"train": 1 - sum(missing.values()), **missing}
    splits = iter(assign_splits([classes_of(record.label) for record in part], [record.identity for record in part], shares, seed))
    completed = [entry._replace(split=next(splits)) if isinstance(entry, Record) and entry.split == source else entry for entry in entries]
    return completed, ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) + f" of {source or 'all'}"


def _shuffled(source: Source) -> Iterator[tuple[Record | Reject, None]]:
    order = np.random.default_rng(source.info.options["seed"]).permutation(len(source.entries))
    return ((source.entries[position], None) for position in order)


def _stored_images(source: Source) -> Iterator[tuple[Record | Reject, bytes | None]]:
    """Entries with the image bytes that the table holds for them, one batch of the table in memory at a time."""
    waiting = {entry.position if isinstance(entry, Record) else entry.row: entry for entry in source.entries}
    position = 0
    try:
        for batch in pq.ParquetFile(source.path).iter_batches(BATCH_ROWS, columns=[source.info.options["image_column"]]):
            for image in batch.column(0):
                if position in waiting:
                    yield waiting[position], image.as_py()
                position += 1
    except (OSError, pa.ArrowException) as error:
        raise damaged(source.path, error) from None
