"""Rows of several prepared data sets -> shards of one, as bytes: no picture is decoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lssat.data.prepared.shards import GROUP_ROWS, SHARD_ROWS, ShardWriter, schema, shard_name
from lssat.data.prepared.table import DatasetInfo, RowGroup, row_groups, shard_paths
from lssat.errors import ConfigError
from lssat.files import write_whole
from lssat.settings.data import DATASET

Indices = npt.NDArray[np.int64]
NAMES = ("identity", "source_identity", "video")
"""Columns whose values mean something in their own data set alone."""


class Part(NamedTuple):
    """A prepared data set that becomes a part of another.

    `labels`: what each of its classes, or labels, is by number in the whole. `people`: whose persons and videos these
    are: those of parts with the same `people` are the same.
    """

    name: str
    folder: Path
    labels: tuple[int, ...]
    people: str


def write_split(folder: Path, split: str, info: DatasetInfo, parts: Sequence[Part]) -> None:
    """The shards of a split, which hold every row of the parts, a part's rows in their order.

    Each stretch of a shard has its share of each part, so that readers who can only shuffle neighbours do not meet one
    data set at a time. Shards that are there already are whole, and stay. Raises ConfigError where a part is of an
    older version.
    """
    readers = [_Reader(part, split, info) for part in parts]
    of_part, rows = interleaved([reader.num_rows for reader in readers])
    for index, start in enumerate(range(0, len(rows), SHARD_ROWS)):
        path, of_shard = folder / shard_name(split, index), slice(start, start + SHARD_ROWS)
        if not path.exists():
            write_whole(path, partial(_write_shard, readers, of_part[of_shard], rows[of_shard], info))


def interleaved(counts: Sequence[int]) -> tuple[Indices, Indices]:
    """For each row of the whole the part that it is of [N], and where it is in that part [N]."""
    part = np.repeat(np.arange(len(counts)), counts)
    row = np.concatenate([np.arange(count) for count in counts])
    order = np.lexsort((part, (row + 0.5) / np.array(counts)[part]))
    return part[order], row[order]


def _write_shard(readers: Sequence[_Reader], part: Indices, row: Indices, info: DatasetInfo, path: Path) -> None:
    with ShardWriter(path, info) as writer:
        for start in range(0, len(row), GROUP_ROWS):
            of_group = slice(start, start + GROUP_ROWS)
            writer.write_table(_group(readers, part[of_group], row[of_group]))


def _group(readers: Sequence[_Reader], part: Indices, row: Indices) -> pa.Table:
    """Rows that follow each other; those of one part follow each other in that part."""
    pieces = []
    for index, reader in enumerate(readers):
        if len(own := row[part == index]):
            pieces.append(reader.rows(int(own[0]), int(own[-1]) + 1))
    place = np.argsort(part, kind="stable")  # of each row of the pieces, one below the other
    return pa.concat_tables(pieces).take(pa.array(np.argsort(place)))


class _Reader:
    """A split of a part, as rows of the whole; the row group that was read last is at hand."""

    def __init__(self, part: Part, split: str, info: DatasetInfo) -> None:
        self._part, self._info, self._schema = part, info, schema(info)
        self._groups = row_groups(shard_paths(part.folder, split))
        self._last: tuple[RowGroup, pa.Table] | None = None

    @property
    def num_rows(self) -> int:
        return sum(group.rows for group in self._groups)

    def rows(self, start: int, stop: int) -> pa.Table:
        """The rows from `start` to before `stop`, which a few row groups hold."""
        pieces = []
        for group in self._groups:
            begin, end = max(start - group.start, 0), min(stop - group.start, group.rows)
            if begin < end:
                pieces.append(self._read(group).slice(begin, end - begin))
        return pa.concat_tables(pieces)

    def _read(self, group: RowGroup) -> pa.Table:
        if self._last is None or self._last[0] != group:
            table = pq.ParquetFile(group.path).read_row_group(group.row_group)
            self._last = group, self._translated({name: table[name] for name in table.column_names}, len(table))
        return self._last[1]

    def _translated(self, columns: Mapping[str, Any], count: int) -> pa.Table:
        """Labels and names as of the whole; "" in columns that the part does not have."""
        part = self._part
        if missing := [name for name in self._schema.names[: 3 + len(NAMES)] if name not in columns]:
            raise ConfigError(
                f"the data set `{part.name}` in `{part.folder}` has no column `{missing[0]}`: it was prepared by an "
                "older version; prepare it again"
            )
        nothing = pa.array([""] * count, pa.string())
        found = {name: columns.get(name, nothing) for name in self._schema.names}
        found["label"] = self._labels(columns["label"])
        for name in NAMES:
            known = pc.not_equal(columns[name], "")
            found[name] = pc.if_else(known, pc.binary_join_element_wise(part.people, columns[name], ":"), "")
        own = columns.get(DATASET, nothing)  # a part that is itself of several data sets
        named = pc.binary_join_element_wise(part.name, own, "/")
        found[DATASET] = pc.if_else(pc.not_equal(own, ""), named, part.name)
        return pa.table([found[name] for name in self._schema.names], schema=self._schema)

    def _labels(self, own: pa.ChunkedArray) -> pa.Array:
        labels, numbers = np.array(own.to_pylist(), np.int64), np.array(self._part.labels)
        if self._info.kind != "multilabel":
            return pa.array(numbers[labels], pa.int64())
        whole = np.zeros_like(labels)
        whole[:, numbers] = labels
        return pa.array(whole.tolist(), pa.list_(pa.int64()))
