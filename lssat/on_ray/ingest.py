"""Ray Data: Parquet shards -> decoded uint8 blocks, decoded once and shared by all trials, or streamed when they would
not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import DataIterator, Dataset
from ray.train import DataConfig as TrainDataConfig

from lssat.config import ConfigError
from lssat.data.prepared.decoding import decode
from lssat.data.prepared.rows import Arrays, ResidentRows, Rows, StreamedRows, mixed
from lssat.data.prepared.table import GROUP_ROWS, shard_paths

MEMORY_SHARE = 0.4  # of the smallest node's object store that decoded data may fill; the rest is for what flows
SHUFFLE_ROWS = 2048  # streamed rows that are mixed
PREFETCHED = 2  # blocks that are fetched ahead of the one that is used


class RowGroup(NamedTuple):
    """Rows that lie together in a shard, and the number that the first of them has in the split."""

    path: str
    number: int
    start: int
    rows: int


@dataclass(frozen=True)
class Split:
    """One split of a prepared data set, cut into one share per worker of a trial.

    Together the shares hold every row exactly once: Ray's own equal split drops the remainder. `resident` are the
    decoded shares, cut before any trial starts, because cutting takes a free core and workers hold them all; None when
    the split is streamed, row group by row group.
    """

    groups: tuple[RowGroup, ...]
    image_size: int
    num_workers: int
    resident: tuple[Dataset, ...] | None

    def share(self, rank: int) -> Dataset:
        """A worker's decoded rows or, of a streamed split, its row groups: see `rows_of`."""
        if self.resident is not None:
            return self.resident[rank]
        return ray.data.from_items(
            [group._asdict() | {"image_size": self.image_size} for group in self.groups[rank :: self.num_workers]]
        )

    def share_rows(self, rank: int) -> int:
        if self.resident is not None:
            cuts = _cuts(sum(group.rows for group in self.groups), self.num_workers)
            return cuts[rank + 1] - cuts[rank]
        return sum(group.rows for group in self.groups[rank :: self.num_workers])


class EveryRow(TrainDataConfig):  # type: ignore[misc]
    """Hands each Ray Train worker its share of every split."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        super().__init__()
        self._splits = splits

    def configure(
        self, datasets: Any, world_size: int, worker_handles: Any, worker_node_ids: Any, **kwargs: Any
    ) -> list[dict[str, DataIterator]]:
        return [
            {name: split.share(rank).iterator() for name, split in self._splits.items()} for rank in range(world_size)
        ]


def open_splits(folder: Path, splits: tuple[str, ...], image_size: int, num_workers: int = 1) -> dict[str, Split]:
    """The named splits of a prepared folder: all decoded into the object store, or all streamed. Raises ConfigError."""
    _set_context()
    groups = {split: _row_groups(shard_paths(folder, split)) for split in splits}
    rows = {split: sum(group.rows for group in groups[split]) for split in splits}
    decoded_bytes = sum(rows.values()) * image_size * image_size * 3
    stores = [
        node["Resources"].get("object_store_memory", 0)
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    ]
    fits = decoded_bytes < MEMORY_SHARE * min(stores, default=0)  # a trial holds all rows on its own node
    for split in splits:
        most = rows[split] if fits else len(groups[split])
        if num_workers > most:
            unit = (
                "images"
                if fits
                else f"blocks of {GROUP_ROWS} images, in which data are dealt out that do not fit into memory"
            )
            raise ConfigError(
                f"`resources.num_workers` must be at most {most}, because split `{split}` has {most} {unit}, but got "
                f"{num_workers}"
            )
    return {
        s: Split(
            groups[s],
            image_size,
            num_workers,
            _resident(shard_paths(folder, s), image_size, num_workers) if fits else None,
        )
        for s in splits
    }


def rows_of(shard: DataIterator, resident: bool, num_rows: int) -> Rows:
    """A worker's shard as Rows. Resident blocks are read without a copy; of streamed data the row groups come in an
    order that the seed alone decides.
    """
    if resident:
        return ResidentRows(list(shard.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)))
    groups = list(shard.iter_rows())

    def stream(size: int, seed: int | None) -> Iterator[Arrays]:
        if seed is None:
            yield from _streamed(groups).iter_batches(
                batch_size=size, batch_format="numpy", prefetch_batches=PREFETCHED
            )
            return
        generator = np.random.default_rng(seed)
        blocks = _streamed([groups[place] for place in generator.permutation(len(groups))])
        arrays = blocks.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=PREFETCHED)
        yield from mixed(arrays, size, SHUFFLE_ROWS, generator)

    return StreamedRows(stream, num_rows)


def _row_groups(paths: list[Path]) -> tuple[RowGroup, ...]:
    groups: list[RowGroup] = []
    start = 0
    for path in paths:
        metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            groups.append(RowGroup(str(path), number, start, rows))
            start += rows
    return tuple(groups)


def _streamed(groups: list[dict[str, Any]]) -> Dataset:
    """Row groups, read and decoded on any node, in this order and no further ahead than the object store allows."""
    _set_context()
    return ray.data.from_items(groups, override_num_blocks=len(groups)).map_batches(
        _read_group, batch_size=1, batch_format="numpy"
    )


def _read_group(batch: Mapping[str, Any]) -> Arrays:
    group = {name: values[0] for name, values in batch.items()}
    table = pq.ParquetFile(group["path"]).read_row_group(int(group["number"]), columns=["image", "label"])
    columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in ("image", "label")}
    return decode(columns | {"row": group["start"] + np.arange(len(table))}, int(group["image_size"]))


def _numbered(tables: list[pa.Table]) -> list[pa.Table]:
    """With a column `row`: where in the split."""
    starts = np.cumsum([0, *map(len, tables)])
    return [
        table.append_column("row", pa.array(np.arange(start, start + len(table))))
        for start, table in zip(starts, tables, strict=False)
    ]


def _set_context() -> None:
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # or the same seed would give another order
    context.enable_progress_bars = False


def _resident(paths: list[Path], image_size: int, num_workers: int) -> tuple[Dataset, ...]:
    """Read on this machine, so that no other node needs the files; decode wherever there is a free core."""
    tables = _numbered([pq.read_table(path, columns=["image", "label"]) for path in paths])
    pieces = [table.slice(start, GROUP_ROWS) for table in tables for start in range(0, len(table), GROUP_ROWS)]
    dataset = _decoded(ray.data.from_arrow(pieces), image_size).materialize()
    inner = _cuts(sum(map(len, tables)), num_workers)[1:-1]
    return tuple(dataset.split_at_indices(inner)) if inner else (dataset,)


def _cuts(total: int, num_workers: int) -> list[int]:
    """Where each worker's share begins, and the end."""
    return [total * rank // num_workers for rank in range(num_workers + 1)]


def _decoded(dataset: Dataset, image_size: int) -> Dataset:
    return dataset.map_batches(partial(decode, image_size=image_size), batch_size=GROUP_ROWS, batch_format="numpy")
