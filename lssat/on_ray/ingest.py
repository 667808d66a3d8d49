"""Ray Data: Parquet shards -> uint8 images in the object store, decoded once for all trials whatever their number of
workers, or streamed where they do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import Dataset

from lssat.data.prepared.decoding import decode
from lssat.data.prepared.rows import Arrays, ResidentRows, Rows, StreamedRows, mixed
from lssat.data.prepared.selection import Mask, learnt_rows
from lssat.data.prepared.shards import GROUP_ROWS
from lssat.data.prepared.table import RowGroup, row_groups, shard_paths
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.storage.place import Place
from lssat.storage.staging import send_missing, staged

MEMORY_SHARE = 0.4  # of the smallest node's object store that decoded data may fill; the rest is for what flows
SHUFFLE_ROWS = 2048  # streamed rows that are mixed
Groups = tuple[RowGroup, ...]
PREFETCHED = 2  # blocks that are fetched ahead of the one that is used


@dataclass(frozen=True)
class Split:
    """One split of a prepared data set, cut into one share per worker of a trial.

    Together the shares hold every row exactly once, which Ray's own equal split does not: it drops the remainder.
    `resident` are the decoded shares; they are cut before any trial starts, because cutting needs a free core and the
    workers of the trials hold them all. None: the split is streamed, row group by row group. `whole`: all of it in one.
    kept [N]: which rows of the split count; `groups` are those with any. Decoded shares hold the others too, and
    `rows_of` passes them over.
    """

    groups: tuple[RowGroup, ...]
    kept: Mask
    image_size: int
    num_workers: int
    resident: tuple[Dataset, ...] | None
    whole: Dataset | None = None

    def undivided(self) -> Split:
        """The same with all of it as each worker's share, where it is not streamed: for rows that are drawn."""
        return self if self.whole is None else replace(self, resident=(self.whole,) * self.num_workers)

    def cut_for(self, num_workers: int) -> Split:
        """The same cut for fewer workers, whose cores are free meanwhile."""
        resident = None if self.whole is None else _cut(self.whole, self.kept, num_workers)
        return replace(self, num_workers=num_workers, resident=resident)

    def groups_of(self, rank: int) -> list[dict[str, Any]]:
        """The row groups of a worker's share of a streamed split, each with all that reading it needs."""
        return [
            group._asdict() | {"image_size": self.image_size, "kept": self.kept[_rows_in(group)].tobytes()}
            for group in self.groups[rank :: self.num_workers]
        ]

    def share_rows(self, rank: int) -> int:
        """How many rows a worker's share has."""
        if self.resident is not None:
            bounds = _bounds(int(self.kept.sum()), self.num_workers)
            return bounds[rank + 1] - bounds[rank]
        return sum(int(self.kept[_rows_in(group)].sum()) for group in self.groups[rank :: self.num_workers])


def open_splits(
    folder: Path,
    names: Sequence[str],
    data: DataConfig,
    worker_counts: Sequence[int],
    shards: Place | None = None,
) -> dict[int, dict[str, Split]]:
    """The named splits of a prepared folder for every number of workers: `[num_workers][name]`. Of training the rows
    that are learnt from (`selection.learnt_rows`).

    Either all splits are decoded into the object store, once, and cut for each number of workers, or all are streamed.
    `shards`: the URL to which they are copied then, where nodes do not see the folder; each node reads them from there.
    Raises ConfigError where a split has too little to give every worker a share.
    """
    (opened,) = open_folds(folder, names, [data], worker_counts, shards)
    return opened


def open_folds(
    folder: Path,
    names: Sequence[str],
    datas: Sequence[DataConfig],
    worker_counts: Sequence[int],
    shards: Place | None = None,
) -> list[dict[int, dict[str, Split]]]:
    """The same of data that differ in what is held out, decoded once for all of them."""
    _set_context()
    image_size = datas[0].image_size
    paths = {name: shard_paths(folder, name) for name in names}
    groups = {name: row_groups(paths[name]) for name in names}
    num_rows = {name: sum(group.rows for group in groups[name]) for name in names}
    fits = _fits_in_memory(sum(num_rows.values()) * image_size**2 * 3)
    if shards and not fits:
        groups = _at_url(groups, folder, shards)
    whole = {name: Kept(groups[name], np.ones(num_rows[name], bool)) for name in names}
    folds = [whole | _learnt(whole, folder, data) for data in datas]
    for name, kept in ((name, kept) for fold in folds for name, kept in fold.items()):
        _check_shares(name, max(worker_counts), int(kept.rows.sum()) if fits else len(kept.groups), fits)
    decoded = {name: _decoded(paths[name], image_size) for name in names} if fits else {}

    def split(name: str, kept: Kept, num_workers: int) -> Split:
        if not fits:
            return Split(kept.groups, kept.rows, image_size, num_workers, resident=None)
        resident = _cut(decoded[name], kept.rows, num_workers)
        return Split(kept.groups, kept.rows, image_size, num_workers, resident, whole=decoded[name])

    return [
        {count: {name: split(name, kept, count) for name, kept in fold.items()} for count in worker_counts}
        for fold in folds
    ]


class Kept(NamedTuple):
    """rows [N]: which of a split count; the row groups with any."""

    groups: tuple[RowGroup, ...]
    rows: Mask


def _at_url(groups: Mapping[str, Groups], folder: Path, shards: Place) -> dict[str, Groups]:
    """The row groups in the copies of their shards at a URL, which are made where they are not there."""
    send_missing(folder, shards)
    return {
        name: tuple(group._replace(path=str(shards / Path(group.path).name)) for group in found)
        for name, found in groups.items()
    }


def _learnt(whole: Mapping[str, Kept], folder: Path, data: DataConfig) -> dict[str, Kept]:
    """What is learnt from, where that is not all of the training split."""
    rows = learnt_rows(folder, data) if "train" in whole else None
    if rows is None:
        return {}
    groups = tuple(group for group in whole["train"].groups if rows[_rows_in(group)].any())
    return {"train": Kept(groups, rows)}


def rows_of(split: Split, rank: int) -> Rows:
    """A worker's share of a split as Rows.

    Resident blocks are read without a copy. The row groups of streamed data come in an order that the seed alone
    decides, so that a resumed trial meets the rows of an uninterrupted one.
    """
    if split.resident is not None:
        decoded = list(split.resident[rank].iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0))
        where = np.concatenate([block["row"] for block in decoded])
        return ResidentRows(decoded, np.flatnonzero(split.kept[where]))
    groups = split.groups_of(rank)

    def stream(size: int, seed: int | None) -> Iterator[Arrays]:
        if seed is None:
            yield from _streamed(groups).iter_batches(
                batch_size=size, batch_format="numpy", prefetch_batches=PREFETCHED
            )
            return
        generator = np.random.default_rng(seed)
        blocks = _streamed([groups[index] for index in generator.permutation(len(groups))])
        arrays = blocks.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=PREFETCHED)
        yield from mixed(arrays, size, SHUFFLE_ROWS, generator)

    return StreamedRows(stream, split.share_rows(rank))


def _fits_in_memory(decoded_bytes: int) -> bool:
    """Whether the decoded rows of all splits fit on every node: a worker holds the blocks it reads on its own node.

    Shares for several numbers of workers are views of the same blocks, apart from the few blocks that a cut divides, so
    the bytes count once.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    training = [each for each in nodes if each.get("CPU")] or nodes  # where none has joined yet, the head stands for it
    stores = [each.get("object_store_memory", 0) for each in training]
    return decoded_bytes < MEMORY_SHARE * float(min(stores, default=0))


def _check_shares(name: str, num_workers: int, most: int, resident: bool) -> None:
    if num_workers <= most:
        return
    streamed_unit = f"blocks of {GROUP_ROWS} images, in which data are dealt out that do not fit into memory"
    raise ConfigError(
        f"`resources.num_workers` must be at most {most}, because split `{name}` has {most} "
        f"{'images' if resident else streamed_unit}, but got {num_workers}"
    )


def _streamed(groups: list[dict[str, Any]]) -> Dataset:
    """The rows of row groups in this order, read and decoded on any node, no further ahead than the store has room."""
    _set_context()
    return ray.data.from_items(groups, override_num_blocks=len(groups)).map_batches(
        _read_group, batch_size=1, batch_format="numpy"
    )


def _read_group(batch: Mapping[str, Any]) -> Arrays:
    group = {name: values[0] for name, values in batch.items()}
    with staged(Place.of(str(group["path"]))) as shard:
        table = pq.ParquetFile(shard).read_row_group(int(group["row_group"]), columns=["image", "label"])
    kept = np.flatnonzero(np.frombuffer(group["kept"], bool))
    columns = {name: np.array(table[name].take(kept).to_pylist(), dtype=object) for name in ("image", "label")}
    return decode(columns | {"row": group["start"] + kept}, int(group["image_size"]))


def _numbered(tables: list[pa.Table]) -> list[pa.Table]:
    """The tables with a further column `row`: where the row is in the split."""
    starts = np.cumsum([0, *map(len, tables)])
    return [
        table.append_column("row", pa.array(np.arange(start, start + len(table))))
        for start, table in zip(starts, tables, strict=False)
    ]


def _set_context() -> None:
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # or the same seed would give another order
    context.enable_progress_bars = False


def _decoded(paths: list[Path], image_size: int) -> Dataset:
    """The rows of shards, decoded into blocks of the object store.

    The shards are read on this machine, so that no other node needs the files; they are decoded wherever a core is
    free.
    """
    tables = _numbered([pq.read_table(path, columns=["image", "label"]) for path in paths])
    pieces = [table.slice(start, GROUP_ROWS) for table in tables for start in range(0, len(table), GROUP_ROWS)]
    encoded = ray.data.from_arrow(pieces)
    decoded = encoded.map_batches(
        partial(decode, image_size=image_size), batch_size=GROUP_ROWS, batch_format="numpy"
    ).materialize()
    return _kept_here(decoded) if sum(node["Alive"] for node in ray.nodes()) > 1 else decoded


def _kept_here(decoded: Dataset) -> Dataset:
    """The same blocks, held by this node as well, which all others need anyway: those of a node that is lost would be
    decoded anew, and where trials hold every core they would wait for that for ever.
    """
    return ray.data.from_arrow_refs([ray.put(ray.get(block)) for block in decoded.to_arrow_refs()])


def _cut(decoded: Dataset, kept: Mask, num_workers: int) -> tuple[Dataset, ...]:
    """One share per worker, with as many of the kept rows each. Blocks are shared with `decoded`; only those that a cut
    divides are copied.
    """
    rows = np.flatnonzero(kept)
    inner = [int(rows[bound]) for bound in _bounds(len(rows), num_workers)[1:-1]]
    return tuple(decoded.split_at_indices(inner)) if inner else (decoded,)


def _rows_in(group: RowGroup) -> slice:
    """Where its rows are in the split."""
    return slice(group.start, group.start + group.rows)


def _bounds(num_rows: int, num_workers: int) -> list[int]:
    """Where the share of each worker begins, and the end of the last."""
    return [num_rows * rank // num_workers for rank in range(num_workers + 1)]
