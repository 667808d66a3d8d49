"""A prepared data set on disk: Parquet shards per split and one `dataset.json` that describes them."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lssat.config import ConfigError
from lssat.data.prepared.hashing import SIDE
from lssat.nearest import listed
from lssat.task import Kind

SPLITS = ("train", "val", "test")
SHARD_ROWS = 2048
GROUP_ROWS = 256  # also the block that a reader streams
INFO_FILE = "dataset.json"
REJECTS_FILE = "rejects.csv"
Label = int | tuple[int, ...]


class Row(NamedTuple):
    """One image. `label` is the class index (binary: 1 is positive), or one 0/1 per label; `identity` and `video` are
    "" where unknown.

    `columns` are the values of `DatasetInfo.columns`: what a score may be split by, such as method, compression or
    `Male`. `source` is the identity whose face a fake lends from, where known; `thumbnail` (`prints.thumbnail_of`) is
    what the leak audit compares.
    """

    image: bytes
    label: Label
    identity: str
    split: str
    video: str = ""
    columns: tuple[str, ...] = ()
    source: str = ""
    thumbnail: bytes | None = None


class Reject(NamedTuple):
    """A row that was left out: its image path, or its position in the table counted from 0, and why."""

    row: str | int
    reason: str


@dataclass(frozen=True)
class DatasetInfo:
    """What a prepared data set holds.

    `classes` are class names (multiclass), (negative, positive) names (binary) or label names (multilabel).
    `counts[split][class]` are images; in multilabel, the positive ones. `rejects` are {"row", "reason"}, see Reject.
    """

    source: str
    task: str
    kind: Kind
    classes: tuple[str, ...]
    synthetic: bool
    columns: tuple[str, ...] = ()
    fingerprint: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    rejects: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> DatasetInfo:
        """Raises KeyError, TypeError or ValueError where the text is not what `to_json` writes."""
        tree = json.loads(text)
        return cls(**{**tree, **{name: tuple(tree[name]) for name in ("classes", "columns", "rejects")}})


Check = Callable[[Path, DatasetInfo], DatasetInfo]


def write_dataset(
    folder: Path, items: Iterable[Row | Reject], info: DatasetInfo, check: Check | None = None, max_rejects: float = 1.0
) -> DatasetInfo:
    """Write rows as shards, and the rejects beside them; return `info` with `rows`, `counts` and `rejects` filled in.

    `folder` appears whole or not at all: everything is written in a sibling that is renamed at the end. An existing
    `folder` is replaced. `check` sees the written shards and may refuse them or add to the info. Raises ConfigError
    where the rows cannot train and test a classifier (`check_counts`), where more than the share `max_rejects` of the
    items are rejects, or as `check` does.
    """
    partial = folder.with_name(f"{partial_prefix(folder)}{uuid.uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        labels, rejects = _write_into(partial, items, info)
        written = complete(partial, info, labels, rejects)
        check_rejects(folder, rejects, len(labels) + len(rejects), max_rejects)
        publish(partial, folder, check(partial, written) if check else written)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_info(folder)


def complete(
    folder: Path, info: DatasetInfo, labels: Iterable[tuple[str, Label]], rejects: Sequence[Reject]
) -> DatasetInfo:
    """`info` of the shards in `folder` that hold rows of these (split, label); the rejects are listed beside them.
    Raises ConfigError (`check_counts`).
    """
    ordered = _sorted(rejects)
    written = replace(with_counts(info, labels), rejects=tuple(reject._asdict() for reject in ordered))
    check_counts(written)
    _write_rejects(folder / REJECTS_FILE, ordered)
    return written


def publish(unfinished: Path, folder: Path, info: DatasetInfo) -> None:
    """Describe what was written and give it its name; an older folder of that name is replaced."""
    (unfinished / INFO_FILE).write_text(info.to_json(), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(unfinished, folder)


def check_rejects(folder: Path, rejects: Sequence[Reject], total: int, most: float) -> None:
    """Refuse data of which more than the share `most` was left out; the list of them stays beside `folder`. Raises
    ConfigError.
    """
    if len(rejects) <= most * total:
        return
    listed = folder.with_name(f"{folder.name}.{REJECTS_FILE}")
    _write_rejects(listed, _sorted(rejects))
    reasons = Counter(re.sub(r"[`\d].*", "...", reject.reason) for reject in rejects).most_common(3)
    commonest = ", ".join(f"{reason} ({count})" for reason, count in reasons)
    raise ConfigError(
        f"{len(rejects)} of {total} images or rows cannot be used, more than `data.max_rejects` {most:g} allows: "
        f"{commonest}; all are listed in {listed}; repair them, or allow them by `data.max_rejects: "
        f"{math.ceil(100 * len(rejects) / total) / 100:g}`"
    )


def partial_prefix(folder: Path) -> str:
    """How the name of an unfinished sibling of `folder` starts."""
    return f".{folder.name}.partial-"


def read_info(folder: Path) -> DatasetInfo:
    """Raises ConfigError where `folder` is not a prepared data set."""
    try:
        return DatasetInfo.from_json((folder / INFO_FILE).read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(
            f"`{folder}` is not a prepared data set: it has no readable {INFO_FILE}; prepare the data again"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"`{folder / INFO_FILE}` is damaged or of another version; delete its folder to prepare it again"
        ) from None


def is_complete(folder: Path) -> bool:
    """Whether every shard is there with all its rows."""
    try:
        rows = read_info(folder).rows
        return all(
            sum(pq.read_metadata(path).num_rows for path in shard_paths(folder, split)) == rows[split]
            for split in SPLITS
        )
    except (ConfigError, KeyError, OSError, pa.ArrowException):
        return False


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of one split, in order."""
    return sorted(folder.glob(f"{split}-*.parquet"))


def read_texts(folder: Path, split: str) -> dict[str, npt.NDArray[Any]]:
    """What a split says of its rows in words, in their order: `identity`, `video` and `DatasetInfo.columns`, each [N]."""
    names = ["identity", "video", *read_info(folder).columns]
    tables = [pq.ParquetFile(path).read(columns=names) for path in shard_paths(folder, split)]
    whole = pa.concat_tables(tables)
    return {name: np.array(whole[name].to_pylist(), dtype=object).astype(str) for name in names}


def with_counts(info: DatasetInfo, labels: Iterable[tuple[str, Label]]) -> DatasetInfo:
    """`info` with `rows` and `counts` of these (split, label) pairs."""
    rows = dict.fromkeys(SPLITS, 0)
    counts = {split: dict.fromkeys(info.classes, 0) for split in SPLITS}
    for split, label in labels:
        rows[split] += 1
        for index in classes_of(label):
            counts[split][info.classes[index]] += 1
    return replace(info, rows=rows, counts=counts)


def classes_of(label: Label) -> Sequence[int]:
    """The class indices that a label counts for: one, or those of its positive labels."""
    return (label,) if isinstance(label, int) else tuple(index for index, value in enumerate(label) if value)


def check_counts(info: DatasetInfo) -> None:
    """Refuse what no classifier can be trained or scored on: an empty split, or a class that a split lacks. Raises
    ConfigError.
    """
    place = f"`{info.source}`, task `{info.task}`"
    if not any(info.rows.values()):
        first = f"; the first: {info.rejects[0]['row']}: {info.rejects[0]['reason']}" if info.rejects else ""
        raise ConfigError(
            f"no image of {place} can be used, {len(info.rejects)} were rejected{first}; repair `data.source`"
        )
    _refuse_single_class(info, place)
    for split in SPLITS:
        if not info.rows[split]:
            rows = ", ".join(f"{name} {count}" for name, count in info.rows.items())
            raise ConfigError(
                f"split `{split}` of {place} has no image ({rows}); add images, or leave out the split column or "
                "folders"
            )
        _refuse_absent(info, split, place)


def _refuse_single_class(info: DatasetInfo, place: str) -> None:
    if info.kind == "multilabel":
        return
    train = {name for name, count in info.counts["train"].items() if count}
    if len(info.classes) < 2 or len(train) == 1:
        only = (*train, *info.classes)[0]
        raise ConfigError(
            f"all training images of {place} are of class `{only}`; a task needs at least two classes: check "
            "`data.task`"
        )


def _refuse_absent(info: DatasetInfo, split: str, place: str) -> None:
    counts, rows = info.counts[split], info.rows[split]
    absent = [name for name in info.classes if not counts[name]]
    if info.kind != "multilabel":
        if absent:
            keep = [name for name in info.classes if all(info.counts[part][name] for part in SPLITS)]
            advice = f"set `data.classes: [{', '.join(keep[:20])}]` or " if len(keep) >= 2 else ""
            raise ConfigError(
                f"split `{split}` of {place} has no image of class {listed(absent)}; {advice}add images of it"
            )
        return
    for names, which in ((absent, "positive"), ([name for name in info.classes if counts[name] == rows], "negative")):
        if names:
            raise ConfigError(
                f"split `{split}` of {place} has no {which} image of label {listed(names)}; take it out of `data.task`"
            )


def _write_into(
    folder: Path, items: Iterable[Row | Reject], info: DatasetInfo
) -> tuple[list[tuple[str, Label]], list[Reject]]:
    labels: list[tuple[str, Label]] = []
    rejects: list[Reject] = []
    with ExitStack() as stack:
        writers = {split: stack.enter_context(_SplitWriter(folder, split, info)) for split in SPLITS}
        for item in items:
            if isinstance(item, Reject):
                rejects.append(item)
            else:
                writers[item.split].add(item)
                labels.append((item.split, item.label))
    return labels, rejects


def _sorted(rejects: Sequence[Reject]) -> list[Reject]:
    return sorted(
        rejects, key=lambda reject: (0, reject.row, "") if isinstance(reject.row, int) else (1, 0, reject.row)
    )


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    with path.open("w", encoding="utf-8", newline="", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows([Reject._fields, *rejects])


def _schema(info: DatasetInfo) -> pa.Schema:
    label = pa.list_(pa.int64()) if info.kind == "multilabel" else pa.int64()
    texts = [(name, pa.string()) for name in ("identity", "source_identity", "video", *info.columns)]
    return pa.schema([("image", pa.binary()), ("label", label), ("thumbnail", pa.binary(SIDE**2)), *texts])


def _cells(row: Row) -> tuple[object, ...]:
    """The values of a row, in the order of the schema."""
    return (row.image, row.label, row.thumbnail, row.identity, row.source, row.video, *row.columns)


class ShardWriter:
    """Rows -> one Parquet file, a row group at a time."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        self._schema = _schema(info)
        # Images are compressed already, and all different: compressing or indexing them again costs time and gains
        # nothing.
        self._file = pq.ParquetWriter(
            path, self._schema, compression="none", use_dictionary=self._schema.names[3:], write_statistics=False
        )

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: Sequence[Row]) -> None:
        columns = zip(*map(_cells, rows), strict=True)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, self._schema, strict=True)]
        self._file.write_table(pa.table(arrays, schema=self._schema), row_group_size=GROUP_ROWS)


class _SplitWriter:
    """Rows of one split -> numbered shards, one row group in memory at a time."""

    def __init__(self, folder: Path, split: str, info: DatasetInfo) -> None:
        self.folder, self.split, self.info = folder, split, info
        self.waiting: list[Row] = []
        self.written = 0
        self.shard: ShardWriter | None = None

    def __enter__(self) -> _SplitWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._write_group()
        if self.shard is not None:
            self.shard.__exit__()

    def add(self, row: Row) -> None:
        self.waiting.append(row)
        if len(self.waiting) == GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if not self.waiting:
            return
        if self.written % SHARD_ROWS == 0:
            if self.shard is not None:
                self.shard.__exit__()
            self.shard = ShardWriter(self.folder / f"{self.split}-{self.written // SHARD_ROWS:05d}.parquet", self.info)
        assert self.shard is not None
        self.shard.write(self.waiting)
        self.written += len(self.waiting)
        self.waiting = []
