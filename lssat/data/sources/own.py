"""A user's own data: a CSV or Parquet table, or a folder with one folder per class.

A source is opened in two steps, so that mistakes answer before any image is touched: `listing` reads names, labels and
splits; `opening` opens every image. Nothing is renamed, and whatever is left out is named with its reason.
"""

from __future__ import annotations

import hashlib
import math
import os
from itertools import repeat
from pathlib import Path
from typing import Literal

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import SPLITS, Reject
from lssat.data.sources.assemble import assemble, complete_splits, pick_classes
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.reading import TABLES, Read, image_files, read_source
from lssat.data.sources.source import located
from lssat.nearest import listed
from lssat.task import Kind


def listing(path: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Names, labels and splits of a table or folder, checked; no image is opened. It has no `options`. Raises
    ConfigError.
    """
    read = read_source(path, data)
    kind, classes = _classes(read, data) if len(read.labels) == 1 else _label_names(read, data)
    entries, made = complete_splits(_entries(read, kind, classes), set(read.splits) & {*SPLITS, ""}, data.seed)
    media: Literal["table", "images"] = "table" if read.options["images"] == "bytes" else "images"
    made_of = {**read.options, "splits": made}
    return assemble(
        path,
        data,
        (kind, classes),
        entries,
        media=media,
        crop=False,
        columns=tuple(read.columns),
        options=made_of,
        name=path.name,
    )


def fingerprint(data: DataConfig) -> str:
    """sha256 of what the source holds: a table's bytes; name, size and time of change of image files. Raises
    ConfigError.
    """
    path = located(data.source).path
    digest = hashlib.sha256()
    root = path
    if path.is_file():
        root = path.parent
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for name in image_files(root) if path.suffix.lower() not in TABLES else image_files(path):
        try:
            status = os.stat(f"{root}/{name}")
            state = f"{status.st_size} {status.st_mtime_ns}"
        except (OSError, ValueError):
            state = "absent"
        digest.update(f"{name}\0{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _classes(read: Read, data: DataConfig) -> tuple[Kind, tuple[str, ...]]:
    """Classes of one label column: its distinct values, numbers by size."""
    found = sorted({str(value) for value in read.labels[0] if value is not None}, key=_rank)
    if not found:
        raise ConfigError(
            f"task `{data.task}` of `{data.source}` has no labels: every value is empty; fill the column or name "
            "another"
        )
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
        raise ConfigError(
            f"`data.classes` selects classes of one label column, but `data.task` names several: {data.task}; drop one"
        )
    names = tuple(name.strip() for name in data.task.split(","))
    for name, column in zip(names, read.labels, strict=True):
        odd = sorted({str(value) for value in column if value is not None} - {"0", "1"}, key=_rank)
        if odd:
            raise ConfigError(
                f"with several label columns each must hold 0 and 1, but `{name}` of `{data.source}` holds "
                f"{listed(odd)}"
            )
    return "multilabel", names


def _entries(read: Read, kind: Kind, classes: tuple[str, ...]) -> list[Record | Reject]:
    index = {name: position for position, name in enumerate(classes)}
    entries: list[Record | Reject] = []
    further = zip(*read.columns.values(), strict=True) if read.columns else repeat((), len(read.names))
    rows = zip(
        read.names,
        zip(*read.labels, strict=True),
        read.identities,
        read.splits,
        read.videos,
        read.sources,
        further,
        strict=True,
    )
    for position, (name, values, identity, split, video, source, columns) in enumerate(rows):
        if any(value is None for value in values):
            entries.append(Reject(name, "empty label"))
        elif kind != "multilabel" and str(values[0]) not in index:
            continue  # not among `data.classes`: not wanted, which is no fault of the row
        elif split and split not in SPLITS:
            entries.append(Reject(name, split))
        else:
            label = (
                tuple(int(value) for value in values if value is not None)
                if kind == "multilabel"
                else index[str(values[0])]
            )
            entries.append(Record(position, name, label, identity, split, video, None, columns, source))
    return entries
