"""Parquet files of the Hugging Face Hub: `<split>-00000-of-00004.parquet`, images as `struct<bytes, path>`.

Of several shards none may be missing. The classes of a ClassLabel are called as the schema's metadata have it, and keep
their order. Images that lie outside the table (`path` without `bytes`) and other names of files are unknown here.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lssat.data.sources.columns import column_named, real_or_fake, roles_of, rows_of
from lssat.data.sources.listing import Listing
from lssat.data.sources.own import listing_of
from lssat.data.sources.source import Source
from lssat.data.sources.splits import SPLIT_NAMES
from lssat.data.sources.tables import Table, damaged_table
from lssat.data.sources.tree import Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

SHARD = re.compile(r"(?P<split>\w+)-(?P<index>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]{16})?\.parquet")
METADATA = b"huggingface"


def listing(source: Source, data: DataConfig) -> Listing:
    """The rows of all shards; the split is in their names unless a column is named for it. Raises ConfigError."""
    by_name = "split" not in source.options
    root = source.path if source.path.is_dir() else source.path.parent
    names = _shards(source.path, by_name) if source.path.is_dir() else [source.path.name]
    files = tuple(root / name for name in names)
    try:
        schema = _schema(files)
        sizes = [pq.read_metadata(path).num_rows for path in files]
    except (OSError, pa.ArrowException) as error:
        raise damaged_table(source.path, error) from None
    table = Table(source.path, files, names_of=_class_names(schema))
    image = _image_column(table, column_named(table, source, "image"))
    roles = roles_of(table, source, data)
    positions = [f"{name}:{row}" for name, size in zip(names, sizes, strict=True) for row in range(size)]
    options = {"images": "bytes", "image_column": image} | ({"tables": names} if source.path.is_dir() else {})
    rows = rows_of(table, roles, positions, options)
    if by_name:
        splits = [_split(name) for name in names] if source.path.is_dir() else [_split_if_any(names[0])]
        rows = rows._replace(splits=[split for split, size in zip(splits, sizes, strict=True) for _ in range(size)])
    if len(roles.labels) == 1 and (order := table.names_of.get(roles.labels[0])):
        rows = rows._replace(order=order)
    return listing_of(real_or_fake(rows, roles, table, source.text("real")), source, data)


def _shards(root: Path, by_name: bool) -> list[str]:
    """The Parquet files of the one data set below a folder. Raises ConfigError.

    by_name: their names say the split, and of how many shards each is one.
    """
    tree = Tree(root)
    links = {name: is_link for name, is_link in tree.files("").items() if name.lower().endswith(".parquet")}
    if not links:
        raise ConfigError(f"`data.source`: `{root}` holds no Parquet files; it needs `train-00000-of-00001.parquet`")
    folders = sorted({str(PurePosixPath(name).parent) for name in links})
    if len(folders) > 1:
        raise ConfigError(
            f"`data.source`: `{root}` holds Parquet files in several folders ({listed(folders)}); name one of them"
        )
    for name, is_link in links.items():
        if is_link and (fault := tree.fault(name, "")):
            raise ConfigError(
                f"`data.source`: `{root / name}`: {fault}; download the files themselves (`--local-dir`), or name the "
                "folder that they are in"
            )
    if by_name:
        for split, group in groupby(links, key=_split):
            _check_whole(root, split, [*group])
    return [*links]


def _check_whole(root: Path, split: str, names: list[str]) -> None:
    """Raises ConfigError where a shard of a split is missing."""
    forms = [form for name in names if (form := SHARD.fullmatch(PurePosixPath(name).name))]
    counts = {int(form["count"]) for form in forms}
    found = sorted(int(form["index"]) for form in forms)
    if len(counts) > 1 or found != [*range(max(counts))]:
        missing = sorted({*range(max(counts))} - {*found})
        what = f"lacks shard {missing[0]:05d}" if missing else "mixes several divisions into shards"
        raise ConfigError(
            f"`data.source`: split `{split}` of `{root}` {what}, of {max(counts)}; download the data set again"
        )


def _split_if_any(name: str) -> str:
    form = SHARD.fullmatch(PurePosixPath(name).name)
    return SPLIT_NAMES.get(form["split"].lower(), "") if form else ""


def _split(name: str) -> str:
    """Raises ConfigError for a name that says no split that is known."""
    split = _split_if_any(name)
    if not split:
        raise ConfigError(
            f"`data.source`: `{name}` must be called <split>-00000-of-00001.parquet, with a split of "
            f"{listed([*SPLIT_NAMES])}; move it out of the folder, or name a column by `?split=`"
        )
    return split


def _schema(files: tuple[Path, ...]) -> pa.Schema:
    """The schema that all files share. Raises ConfigError."""
    first = pq.read_schema(files[0])
    for path in files[1:]:
        if not pq.read_schema(path).equals(first):
            raise ConfigError(
                f"`data.source`: `{path}` has other columns than `{files[0].name}`; download the data set again"
            )
    return first


def _class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Column -> names of its classes, of every ClassLabel. Raises ConfigError for metadata that are damaged."""
    try:
        features: dict[str, Any] = json.loads((schema.metadata or {}).get(METADATA, b"{}")).get("info", {})
        found = features.get("features", {}).items()
        return {name: tuple(map(str, kind["names"])) for name, kind in found if kind.get("_type") == "ClassLabel"}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "`data.source`: the metadata of Hugging Face in the schema are damaged "
            f"({type(error).__name__}: {error}); write the tables again"
        ) from None


def _image_column(table: Table, asked: str | None) -> str:
    """The column that is asked for, or the one that holds images. Raises ConfigError."""
    found = [name for name in table.columns if _holds_images(table.kind(name))]
    if asked is not None and asked not in found:
        raise ConfigError(
            f"`data.source`: column `{asked}` of `{table.path}` must hold images (struct<bytes, path>), but holds "
            f"{table.kind(asked)}; {nearest(asked, found, 'columns of images are')}"
        )
    if asked is not None:
        return asked
    if len(found) != 1:
        what = f"several columns of images ({listed(found)})" if found else "no column of images (struct<bytes, path>)"
        raise ConfigError(f"`data.source`: `{table.path}` has {what}; name the one that is meant by `?image=COLUMN`")
    return found[0]


def _holds_images(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind})
