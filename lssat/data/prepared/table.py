"""A prepared data set on disk, as it is read: Parquet shards per split and a `dataset.json` that describes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lssat.errors import ConfigError
from lssat.task import Kind, Task
from lssat.text.visible import on_one_line

SPLITS = ("train", "val", "test")
INFO_FILE = "dataset.json"
LEAKS_FILE = "leaks.csv"
"""Beside it: what is in two splits, a line for each pair of rows; `lssat.data.prepare.audit` writes it."""
DATASETS, VALIDATE_ON = "datasets", "validate_on"
"""Options of a joined data set: what is kept of each by its name, and whose rows alone are in val and test, if any."""
READING = 2
"""Of pictures and tables; raise it when they are read differently, so that no folder of before is taken."""
Label = int | tuple[int, ...]
"""A class index (binary: 1 is positive), or one 0/1 per label."""


class Row(NamedTuple):
    """One image of a split. `identity` and `video` are "" where unknown.

    `columns` are the values of `DatasetInfo.columns`: what a score may be split by, such as method, compression or
    `Male`. `source` is the identity whose face a fake borrows, "" where unknown. `thumbnail` (`hashing.thumbnail_of`)
    is what the leak audit compares. `changed`: older versions opened the picture differently (`pictures.Opened`).
    """

    image: bytes
    label: Label
    identity: str
    split: str
    video: str = ""
    columns: tuple[str, ...] = ()
    source: str = ""
    thumbnail: bytes | None = None
    changed: bool = False


class Reject(NamedTuple):
    """A row that was left out: its image path, or its position in the table counted from 0, and why."""

    row: str | int
    reason: str

    def shown(self) -> Reject:
        """For lists and messages: on one line, and in text that every file can hold."""
        return Reject(on_one_line(self.row) if isinstance(self.row, str) else self.row, on_one_line(self.reason))


class RowGroup(NamedTuple):
    """A row group of a shard: its file, its index in that file, where its first row is in the split, and its rows."""

    path: str
    row_group: int
    start: int
    rows: int


@dataclass(frozen=True)
class DatasetInfo:
    """What a prepared data set holds.

    `classes` are class names (multiclass), (negative, positive) names (binary) or label names (multilabel).
    `counts[split][class]` are images; in multilabel, the positive ones. `rejects` are {"row", "reason"}, see Reject.
    `options["reading"]` is READING, and `options["changed"]` says what older versions read differently.
    `options["detector"]` is what found the faces that were cut out.
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

    @property
    def as_task(self) -> Task:
        """What the loop needs to know of it."""
        counts = tuple(self.counts["train"][name] for name in self.classes)
        return Task(self.task, self.kind, self.classes, counts, self.rows["train"])

    def to_json(self) -> str:
        """The text of `dataset.json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> DatasetInfo:
        """Raises KeyError, TypeError or ValueError where the text is not what `to_json` writes."""
        tree = json.loads(text)
        return cls(**{**tree, **{name: tuple(tree[name]) for name in ("classes", "columns", "rejects")}})


def changed_fingerprint(fingerprint: str) -> str:
    """The fingerprint of data of which older versions, which gave it this one, read something differently."""
    return hashlib.sha256(f"{fingerprint} {READING}".encode()).hexdigest()


def detected_fingerprint(fingerprint: str, detector: Mapping[str, str]) -> str:
    """The fingerprint of data whose faces this detector cut out, of what it would be without that."""
    return hashlib.sha256(f"{fingerprint} {json.dumps(detector, sort_keys=True)}".encode()).hexdigest()


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


def row_groups(paths: Sequence[Path]) -> tuple[RowGroup, ...]:
    """Those of the shards of a split, in its order."""
    groups: list[RowGroup] = []
    start = 0
    for path in paths:
        metadata = pq.read_metadata(path)
        for index in range(metadata.num_row_groups):
            rows = metadata.row_group(index).num_rows
            groups.append(RowGroup(str(path), index, start, rows))
            start += rows
    return tuple(groups)


def read_images(folder: Path, split: str, rows: Sequence[int]) -> list[bytes]:
    """The files of the pictures in these rows of a split, which are counted from 0; only their row groups are read."""
    found: dict[int, bytes] = {}
    for group in row_groups(shard_paths(folder, split)):
        if inside := {row for row in rows if group.start <= row < group.start + group.rows}:
            images = pq.ParquetFile(group.path).read_row_group(group.row_group, columns=["image"])["image"]
            found |= {row: images[row - group.start].as_py() for row in inside}
    return [found[row] for row in rows]


def read_texts(folder: Path, split: str) -> dict[str, npt.NDArray[Any]]:
    """The texts of a split, in the order of its rows: `identity`, `video` and `DatasetInfo.columns`, each [N]."""
    names = ["identity", "video", *read_info(folder).columns]
    tables = [pq.ParquetFile(path).read(columns=names) for path in shard_paths(folder, split)]
    whole = pa.concat_tables(tables)
    return {name: np.array(whole[name].to_pylist(), dtype=object).astype(str) for name in names}
