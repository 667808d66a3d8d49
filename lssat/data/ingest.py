"""Ray Data: Parquet shards -> decoded uint8 blocks, decoded once and shared by all trials, or streamed when they would not fit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import ray
from PIL import Image
from ray.data import DataIterator, Dataset
from ray.train import DataConfig as TrainDataConfig

from lssat.data.rows import Arrays, ResidentRows, Rows, StreamedRows

BLOCK_ROWS = 256
MEMORY_SHARE = 0.4  # of the cluster's object store that decoded data may fill; the rest is for what flows
SHUFFLE_ROWS = 2048  # streamed rows that are mixed


@dataclass(frozen=True)
class Split:
    """One split of a prepared data set, as Ray Data sees it. `dataset` is None when the split is streamed from `paths`."""

    paths: tuple[str, ...]
    rows_per_path: tuple[int, ...]
    image_size: int
    dataset: Dataset | None

    def shares(self, num_workers: int) -> list[Dataset]:
        """One dataset per worker; together they hold every row exactly once (Ray's own equal split drops the remainder)."""
        if self.dataset is not None:
            total = sum(self.rows_per_path)
            cuts = [total * worker // num_workers for worker in range(1, num_workers)]
            return list(self.dataset.split_at_indices(cuts)) if cuts else [self.dataset]
        return [_decoded(ray.data.read_parquet(list(self.paths[worker::num_workers])), self.image_size) for worker in range(num_workers)]

    def share_rows(self, num_workers: int) -> list[int]:
        """Rows of each worker's share."""
        total = sum(self.rows_per_path)
        if self.dataset is not None:
            return [total * (worker + 1) // num_workers - total * worker // num_workers for worker in range(num_workers)]
        return [sum(self.rows_per_path[worker::num_workers]) for worker in range(num_workers)]


class EveryRow(TrainDataConfig):  # type: ignore[misc]
    """Hands each Ray Train worker its share of every split."""

    def __init__(self, splits: Mapping[str, Split]) -> None:
        super().__init__()
        self._splits = splits

    def configure(self, datasets: Any, world_size: int, worker_handles: Any, worker_node_ids: Any, **kwargs: Any) -> list[dict[str, DataIterator]]:
        shares = {name: split.shares(world_size) for name, split in self._splits.items()}
        return [{name: share[worker].iterator() for name, share in shares.items()} for worker in range(world_size)]


def open_splits(folder: Path, splits: tuple[str, ...], image_size: int) -> dict[str, Split]:
    """The named splits of a prepared folder: all decoded into the object store, or all streamed."""
    paths = {split: tuple(str(path) for path in sorted(folder.glob(f"{split}-*.parquet"))) for split in splits}
    rows = {split: tuple(pq.read_metadata(path).num_rows for path in paths[split]) for split in splits}
    decoded_bytes = sum(sum(counts) for counts in rows.values()) * image_size * image_size * 3
    fits = decoded_bytes < MEMORY_SHARE * ray.cluster_resources().get("object_store_memory", 0)
    return {s: Split(paths[s], rows[s], image_size, _resident(paths[s], image_size) if fits else None) for s in splits}


def rows_of(shard: DataIterator, resident: bool, num_rows: int) -> Rows:
    """A worker's shard as Rows. Resident blocks are read without a copy."""
    if resident:
        return ResidentRows(list(shard.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)))

    def stream(size: int, seed: int | None) -> Iterator[Arrays]:
        shuffle: dict[str, Any] = {} if seed is None else {"local_shuffle_buffer_size": SHUFFLE_ROWS, "local_shuffle_seed": seed}
        yield from shard.iter_batches(batch_size=size, batch_format="numpy", **shuffle)

    return StreamedRows(stream, num_rows)


def read_resident(paths: list[Path], image_size: int) -> Rows:
    """Decode shards in this process, without Ray's tasks: for a sealed split that is read once."""
    blocks = []
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(BLOCK_ROWS, columns=["image", "label"]):
            blocks.append(_decode({"image": np.array(batch["image"].to_pylist(), dtype=object), "label": np.array(batch["label"].to_pylist())}, image_size))
    return ResidentRows(blocks)


def _resident(paths: tuple[str, ...], image_size: int) -> Dataset:
    """Read on this machine, so that no other node needs the files; decode wherever there is a free core."""
    tables = [pq.read_table(path, columns=["image", "label"]) for path in paths]
    pieces = [table.slice(start, BLOCK_ROWS) for table in tables for start in range(0, len(table), BLOCK_ROWS)]
    return _decoded(ray.data.from_arrow(pieces), image_size).materialize()


def _decoded(dataset: Dataset, image_size: int) -> Dataset:
    return dataset.map_batches(partial(_decode, image_size=image_size), batch_size=BLOCK_ROWS, batch_format="numpy")


def _decode(batch: Mapping[str, Any], image_size: int) -> Arrays:
    """JPEG or PNG bytes -> `image` uint8 [N,H,W,3], `label` int64."""
    images = np.stack([_pixels(data, image_size) for data in batch["image"]])
    return {"image": images, "label": np.stack([np.asarray(label, dtype=np.int64) for label in batch["label"]])}


def _pixels(data: bytes, image_size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as picture:
        image = picture.convert("RGB")
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image)
