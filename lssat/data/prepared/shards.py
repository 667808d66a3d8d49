"""Rows -> Parquet shards of a split, one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lssat.data.prepared.hashing import SIDE
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.files import sync

SHARD_ROWS = 2048
GROUP_ROWS = 256  # also the block that a reader streams


class ShardWriter:
    """Rows -> one Parquet file, which is flushed to disk when it is closed."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        self._path = path
        self._schema = schema(info)
        # Images are compressed already, and all different: compressing or indexing them again costs time and gains
        # nothing.
        self._file = pq.ParquetWriter(
            path, self._schema, compression="none", use_dictionary=self._schema.names[3:], write_statistics=False
        )

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, rows: Sequence[Row]) -> None:
        """Add a row group of these rows, at most GROUP_ROWS."""
        columns = zip(*map(_cells, rows), strict=True)
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, self._schema, strict=True)]
        self.write_table(pa.table(arrays, schema=self._schema))

    def write_table(self, rows: pa.Table) -> None:
        """Add a row group of these rows, at most GROUP_ROWS, in columns of `schema`."""
        self._file.write_table(rows, row_group_size=GROUP_ROWS)

    def close(self) -> None:
        """Complete the file. Only now can it be read."""
        self._file.close()
        sync(self._path)


class SplitWriter:
    """Rows of one split -> numbered shards of SHARD_ROWS rows."""

    def __init__(self, folder: Path, split: str, info: DatasetInfo) -> None:
        self._folder, self._split, self._info = folder, split, info
        self._waiting: list[Row] = []
        self._written = 0
        self._shard: ShardWriter | None = None

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._write_group()
        if self._shard is not None:
            self._shard.close()

    def add(self, row: Row) -> None:
        """Write the row, once a row group is full or the writer is closed."""
        self._waiting.append(row)
        if len(self._waiting) == GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if not self._waiting:
            return
        if self._written % SHARD_ROWS == 0:
            if self._shard is not None:
                self._shard.close()
            path = self._folder / shard_name(self._split, self._written // SHARD_ROWS)
            self._shard = ShardWriter(path, self._info)
        assert self._shard is not None
        self._shard.write(self._waiting)
        self._written += len(self._waiting)
        self._waiting = []


def shard_name(split: str, index: int) -> str:
    """The file name of a split's shard; names sort as the shards do."""
    return f"{split}-{index:05d}.parquet"


def schema(info: DatasetInfo) -> pa.Schema:
    """The columns of a shard."""
    label = pa.list_(pa.int64()) if info.kind == "multilabel" else pa.int64()
    texts = [(name, pa.string()) for name in ("identity", "source_identity", "video", *info.columns)]
    return pa.schema([("image", pa.binary()), ("label", label), ("thumbnail", pa.binary(SIDE**2)), *texts])


def _cells(row: Row) -> tuple[object, ...]:
    """The values of a row, in the order of the schema."""
    return (row.image, row.label, row.thumbnail, row.identity, row.source, row.video, *row.columns)
