"""What a user's table or folder says, row by row: image names, labels, identities, splits. No image is opened."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lssat.config import ConfigError, DataConfig
from lssat.data.cells import fraction, labels_before, named_all, text_of, texts_before
from lssat.data.csv_form import IMAGE_COLUMNS, csv_form, other_encoding
from lssat.data.sources.splits import SPLIT_NAMES
from lssat.text.did_you_mean import listed, nearest
from lssat.text.visible import as_text

TABLES = (".csv", ".parquet")
RESERVED = ("image", "path", "thumbnail", "label", "identity", "source_identity", "video", "split")
MOST_GROUPS = 50  # distinct values of a column that may still tell subgroups apart


class SourceRows(NamedTuple):
    """The rows of a table or folder, as columns of equal length.

    names: image path, or position in a table that holds its images. labels: one column per label, "" where empty.
    identities: "" where unknown. splits: train, val, test, "" (all rows, where the data bring no splits), or why the
    row has none. videos, sources: "" where unknown. columns: whatever else the table says with few distinct values.
    """

    names: list[str | int]
    labels: list[list[str]]
    identities: list[str]
    splits: list[str]
    videos: list[str]
    sources: list[str]
    columns: dict[str, list[str]]
    options: dict[str, Any]


def read_source(path: Path, data: DataConfig) -> SourceRows:
    """Read the table or folder at `path`, which exists. Raises ConfigError."""
    if not path.is_dir() and path.suffix.lower() not in TABLES:
        raise ConfigError(
            "`data.source` must be a .csv or .parquet table, or a folder with one folder per class, but got "
            f"`{data.source}`"
        )
    return _read_folder(path) if path.is_dir() else _read_table(path, data)


def image_files(path: Path) -> list[str]:
    """The image files of a source, relative to its folder, sorted; none for a table that holds its images.

    Raises ConfigError where a table cannot be read.
    """
    if path.is_dir():
        return sorted(_walk(path))
    names, options = _images(path, _columns(path))
    return sorted({str(name) for name in names}) if options["images"] == "files" else []


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
        for name in sorted(_walk(root, level / folder))
    ]
    if not rows:
        raise ConfigError(
            f"`{root}` holds no images in class folders; it needs <class>/<image>, or <split>/<class>/<image>"
        )
    names, folders, splits = zip(*rows, strict=True)
    unknown = [""] * len(rows)
    return SourceRows(
        names=[*names],
        labels=[[as_text(folder) for folder in folders]],
        identities=unknown,
        splits=[*splits],
        videos=unknown,
        sources=unknown,
        columns={},
        options={"images": "files"},
    )


def _folders(root: Path) -> list[str]:
    return sorted(item.name for item in root.iterdir() if item.is_dir() and not item.name.startswith("."))


def _walk(root: Path, below: Path = Path()) -> Iterator[str]:
    """Files below `root / below`, relative to `root`, without hidden ones and without those of linked folders."""
    for folder, subfolders, files in os.walk(root / below):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        prefix = "" if Path(folder) == root else f"{Path(folder).relative_to(root).as_posix()}/"
        yield from (prefix + name for name in files if not name.startswith("."))


def _read_table(path: Path, data: DataConfig) -> SourceRows:
    columns = _columns(path)
    names, options = _images(path, columns)
    wanted = _label_columns(path, columns, data)
    if not names:
        raise ConfigError(f"`data.source`: the table `{path}` has no rows")

    def texts(name: str | None) -> list[str]:
        return _texts(path, name) if name and name in columns else [""] * len(names)

    labels = [_labels(path, name) for name in wanted]
    read = [name for name in ("identity", "video", "split", "source_identity") if name in columns]
    group = next((name for name in ("identity", "video") if name in columns), None)
    further = {name: _subgroups(path, name) for name in columns if name not in {*RESERVED, *wanted}}
    subgroups = {name: values for name, values in further.items() if values is not None}
    changed = _changed(path, dict(zip(wanted, labels, strict=True)), [*read, *subgroups])
    identities, videos = texts(group), texts("video")
    if any(video and not identity for identity, video in zip(identities, videos, strict=True)):
        changed.append("videos without an identity")
    return SourceRows(
        names=names,
        labels=labels,
        identities=identities,
        splits=_splits(texts("split")),
        videos=videos,
        sources=texts("source_identity"),
        columns=subgroups,
        options=options | {"kept_together": group} | ({"changed": changed} if changed else {}),
    )


def _changed(path: Path, labels: Mapping[str, list[str]], others: Sequence[str]) -> list[str]:
    """What older versions read differently: see `DatasetInfo`."""
    from_csv = path.suffix.lower() == ".csv"
    columns = {name: _column(path, name).to_pylist() for name in {*labels, *others}}
    changed = [name for name, texts in labels.items() if labels_before(columns[name], from_csv) != texts]
    changed += [name for name in others if texts_before(columns[name], from_csv) != named_all(columns[name])]
    return [f"column `{name}`" for name in changed]


def _label_columns(path: Path, columns: Sequence[str], data: DataConfig) -> list[str]:
    """The columns that `data.task` names. Raises ConfigError."""
    wanted = [name.strip() for name in data.task.split(",")]
    for name in wanted:
        if name not in columns:
            raise ConfigError(
                f"`data.task`: `{path.name}` has no column `{name}`; {nearest(name, columns, 'its columns are')}"
            )
        if wanted.count(name) > 1:
            raise ConfigError(f"`data.task` names the column `{name}` twice: {data.task}")
    return wanted


def _subgroups(path: Path, name: str) -> list[str] | None:
    """A column as text if it may tell subgroups apart: single values, few of them distinct; else None."""
    if not name:
        return None
    if path.suffix.lower() == ".parquet" and not _is_single(pq.read_schema(path).field(name).type):
        return None
    texts = _texts(path, name)
    return texts if len(set(texts)) <= MOST_GROUPS else None


def _splits(texts: list[str]) -> list[str]:
    """The split of each row, or why it has none; all "" where the column is empty."""
    if not any(texts):
        return texts
    return [SPLIT_NAMES.get(text.lower(), f"unknown split `{text}`" if text else "empty split") for text in texts]


def _columns(path: Path) -> list[str]:
    """The names of a table's columns. Raises ConfigError."""
    try:
        is_parquet = path.suffix.lower() == ".parquet"
        columns = list(pq.read_schema(path).names) if is_parquet else csv_form(path).columns
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise damaged_table(path, error) from None
    if not columns:
        raise ConfigError(f"`data.source`: the table `{path}` is empty")
    doubled = sorted({name for name in columns if name and columns.count(name) > 1})
    if doubled:
        raise ConfigError(f"`data.source`: `{path.name}` has several columns called {listed(doubled)}; rename them")
    return columns


def _images(path: Path, columns: Sequence[str]) -> tuple[list[str | int], dict[str, Any]]:
    """What rows are called, and where their images are."""
    name = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if name is None:
        raise ConfigError(
            f"`data.source`: `{path.name}` has no column `image` or `path`; its columns are {listed(columns)}; rename "
            "one"
        )
    if path.suffix.lower() == ".parquet":
        kind = pq.read_schema(path).field(name).type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return list(range(pq.read_metadata(path).num_rows)), {"images": "bytes", "image_column": name}
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
            raise ConfigError(
                f"column `{name}` of `{path.name}` must hold image bytes or image paths, but holds {kind}"
            )
    return [text_of(value) for value in _column(path, name).to_pylist()], {"images": "files", "image_column": name}


def _texts(path: Path, name: str) -> list[str]:
    return named_all(_column(path, name).to_pylist())


def _labels(path: Path, name: str) -> list[str]:
    """What each row is called; "" for what is empty. Raises ConfigError for fractions."""
    texts = _texts(path, name)
    if (odd := fraction(texts)) is not None:
        raise ConfigError(
            f"column `{name}` of `{path.name}` must hold whole numbers, words or true/false as labels, but holds "
            f"{odd}; leave a cell empty where the label is unknown; a quantity cannot be learnt, as regression is not "
            "supported: make classes of it"
        )
    return texts


def _is_single(kind: pa.DataType) -> bool:
    """Whether a cell of this type holds one text, number or truth."""
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _column(path: Path, name: str) -> pa.ChunkedArray:
    """One column; those of a CSV as text, so that the identity `007` stays what it is. Raises ConfigError."""
    try:
        if path.suffix.lower() == ".parquet":
            column = pq.ParquetFile(path).read(columns=[name])[name]
            if not _is_single(column.type):
                raise ConfigError(
                    f"column `{name}` of `{path.name}` must hold whole numbers, words or true/false, but holds "
                    f"{column.type}; rename it if it is not meant"
                )
            return column
        convert = pacsv.ConvertOptions(include_columns=[name], column_types={name: pa.string()})
        form = csv_form(path)
        parse = pacsv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True)
        read = pacsv.ReadOptions(encoding=form.encoding)
        return pacsv.read_csv(path, read, parse, convert)[name]
    except (OSError, pa.ArrowException) as error:
        raise damaged_table(path, error) from None


def damaged_table(path: Path, error: Exception) -> ConfigError:
    """What to say of a table that cannot be read."""
    if path.suffix.lower() == ".csv" and ("utf-8" in str(error) or "UTF8" in str(error)):
        return other_encoding(path)
    reason = str(error).strip().split("\n")[0][:200]
    return ConfigError(
        f"`data.source`: the table `{path}` is damaged or not what its ending says ({reason}); write it again"
    )
