"""What a user's table or folder says, row by row: image names, labels, identities, splits. No image is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lssat.data.cells import labels_before, named_all, text_of, texts_before
from lssat.data.csv_form import IMAGE_COLUMNS
from lssat.data.sources.columns import Roles, SourceRows, column_named, real_or_fake, roles_of, rows_of
from lssat.data.sources.source import OWN, Source
from lssat.data.sources.splits import SPLIT_NAMES
from lssat.data.sources.tables import TABLES, Table
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed
from lssat.text.visible import as_text


def read_source(source: Source, data: DataConfig) -> SourceRows:
    """Read the table or folder, which exists. Raises ConfigError."""
    path = source.path
    if not path.is_dir() and path.suffix.lower() not in TABLES:
        raise ConfigError(
            "`data.source` must be a .csv or .parquet table, or a folder with one folder per class, but got "
            f"`{data.source}`"
        )
    return _read_folder(path) if path.is_dir() else _read_table(source, data)


def image_files(source: Source) -> list[str]:
    """The image files of a table, relative to its folder, sorted; none for a table that holds its images.

    Raises ConfigError where it cannot be read.
    """
    names, options = _images(_table(source), source)
    return sorted({str(name) for name in names}) if options["images"] == "files" else []


def files_below(root: Path, below: Path = Path()) -> Iterator[str]:
    """Files below `root / below`, relative to `root`, without hidden ones and without those of linked folders."""
    for folder, subfolders, files in os.walk(root / below):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        prefix = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
        yield from (prefix + name for name in files if not name.startswith("."))


def _read_folder(root: Path) -> SourceRows:
    top = _folders(root)
    levels = [name for name in top if name.lower() in SPLIT_NAMES]
    if levels and len(levels) < len(top):
        others = [name for name in top if name not in levels]
        raise ConfigError(
            f"`{root}` mixes split folders ({listed(levels)}) with others ({listed(others)}); keep one kind at this "
            "level"
        )
    parts = [(SPLIT_NAMES[level.lower()], Path(level)) for level in levels] or [("", Path())]
    rows = [
        (name, folder, split)
        for split, level in parts
        for folder in _folders(root / level)
        for name in sorted(files_below(root, level / folder))
    ]
    if not rows:
        raise ConfigError(
            f"`{root}` holds no images in class folders; it needs <class>/<image>, or <split>/<class>/<image>"
        )
    names, folders, splits = zip(*rows, strict=True)
    unknown = [""] * len(rows)
    return SourceRows(
        names=[*names],
        labels={"class": [as_text(folder) for folder in folders]},
        identities=unknown,
        splits=[*splits],
        videos=unknown,
        sources=unknown,
        columns={},
        options={"images": "files"},
    )


def _folders(root: Path) -> list[str]:
    return sorted(item.name for item in root.iterdir() if item.is_dir() and not item.name.startswith("."))


def _read_table(source: Source, data: DataConfig) -> SourceRows:
    table = _table(source)
    names, options = _images(table, source)
    roles = roles_of(table, source, data)
    rows = rows_of(table, roles, names, options)
    if source.kind == OWN and (changed := _changed(table, roles, rows)):
        rows = rows._replace(options=rows.options | {"changed": changed})
    return real_or_fake(rows, roles, table, source.text("real"))


def _table(source: Source) -> Table:
    image = source.text("image")
    return Table.of(source.path, IMAGE_COLUMNS if image is None else (image,))


def _changed(table: Table, roles: Roles, rows: SourceRows) -> list[str]:
    """What older versions read differently: see `DatasetInfo`."""
    others = [*filter(None, roles[1:]), *rows.columns]
    columns = {name: table.column(name).to_pylist() for name in {*roles.labels, *others}}
    is_csv = not table.is_parquet
    changed = [name for name, texts in rows.labels.items() if labels_before(columns[name], is_csv) != texts]
    changed += [name for name in others if texts_before(columns[name], is_csv) != named_all(columns[name])]
    alone = any(video and not identity for identity, video in zip(rows.identities, rows.videos, strict=True))
    return [f"column `{name}`" for name in changed] + ["videos without an identity"] * alone


def _images(table: Table, source: Source) -> tuple[Sequence[str | int], dict[str, Any]]:
    """What rows are called, and where their images are. Raises ConfigError."""
    path, columns = table.path, table.columns
    name = column_named(table, source, "image") or next((name for name in IMAGE_COLUMNS if name in columns), None)
    if name is None:
        raise ConfigError(
            f"`data.source`: `{path.name}` has no column `image` or `path`; its columns are {listed(columns)}; name "
            f"the right one by `table:{path.name}?image=COLUMN`"
        )
    kind = table.kind(name)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return range(pq.read_metadata(path).num_rows), {"images": "bytes", "image_column": name}
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
        hint = f"; read it by `huggingface:{path.name}`" if pa.types.is_struct(kind) else ""
        raise ConfigError(
            f"column `{name}` of `{path.name}` must hold image bytes or image paths, but holds {kind}{hint}"
        )
    return [text_of(value) for value in table.column(name).to_pylist()], {"images": "files", "image_column": name}
