"""What a prepared data set holds, for tests to look at."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lssat.data.prepared.table import shard_paths


def read_split(folder: Path, split: str) -> pa.Table:
    """One split, whole."""
    return pa.concat_tables([pq.ParquetFile(path).read() for path in shard_paths(folder, split)])
