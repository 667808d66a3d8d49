"""One worker's share of a split, as batches.

Every row comes exactly once an epoch, unless rows are drawn. Nothing fills up a batch that runs out of
rows: it is shorter, and a worker that runs out of rows before the others gives batches of none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lssat.data.prepared.drawing import Drawing, Order
from lssat.errors import ConfigError

Arrays = dict[str, npt.NDArray[Any]]
UNKNOWN_ROW = -1  # of a split that is read in one go


class Batch(NamedTuple):
    """Rows for one step.

    `image` uint8 [B,H,W,3]; `label` int64 [B] or [B,K]; `row` int64 [B], where in its split; `size`: the rows of a
    whole batch, at least B.
    """

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    size: int


class Rows(Protocol):
    """A worker's share of a split."""

    @property
    def num_rows(self) -> int:
        """How many rows the share has."""
        ...

    def subset(self, fraction: float, seed: int) -> Rows:
        """About this share of the rows. Raises ConfigError for rows that are streamed.

        Image and seed alone decide whether a row is in, so that it is the same for any number of workers.
        """
        ...

    def drawn(self, drawing: Drawing, rank: int, world_size: int) -> Rows:
        """Of rows that are the whole of what all workers train on, a worker's part of what is drawn. Raises ConfigError
        if streamed.
        """
        ...

    def batches(self, size: int, steps: int, seed: int | None) -> Iterator[Batch]:
        """Exactly `steps` batches of `size` rows, the last ones of fewer or none, shuffled by `seed`, or in order when
        it is None.
        """
        ...


class Part(NamedTuple):
    """A worker's part of an order that all workers draw alike."""

    order: Order
    rank: int
    world_size: int


class ResidentRows:
    """Rows that live decoded in shared memory: blocks are views, only the batch is copied.

    `rows` are the indices of those that count, all by default; `part`: of these rows' order, by which they are drawn.
    """

    def __init__(
        self, blocks: Sequence[Arrays], rows: npt.NDArray[np.int64] | None = None, part: Part | None = None
    ) -> None:
        self._blocks = blocks
        self._rows = np.arange(sum(len(block["label"]) for block in blocks)) if rows is None else rows
        self._part = part

    @property
    def num_rows(self) -> int:
        """How many rows the share has."""
        return len(self._rows) if self._part is None else -(-self._part.order.num_rows // self._part.world_size)

    def subset(self, fraction: float, seed: int) -> ResidentRows:
        """See `Rows.subset`."""
        assert self._part is None, "a subset is taken before rows are drawn"
        images = (image for block in self._blocks for image in block["image"])
        is_kept = np.array([_uniform(image, seed) < fraction for image in images], dtype=bool)
        return ResidentRows(self._blocks, self._rows[is_kept[self._rows]])

    def drawn(self, drawing: Drawing, rank: int, world_size: int) -> ResidentRows:
        """See `Rows.drawn`."""
        if not len(self._rows):
            return self
        label = np.concatenate([block["label"] for block in self._blocks])[self._rows]
        position = np.concatenate([_positions(block) for block in self._blocks])[self._rows]
        return ResidentRows(self._blocks, self._rows, Part(drawing.order(label, position), rank, world_size))

    def batches(self, size: int, steps: int, seed: int | None) -> Iterator[Batch]:
        """See `Rows.batches`."""
        order, rank, world_size = self._rows, 0, 1
        if seed is not None and self._part is None:
            order = np.random.default_rng(seed).permutation(self._rows)
        elif seed is not None and self._part is not None:
            drawn, rank, world_size = self._part
            order = self._rows[drawn.draw(np.random.default_rng(seed), size * world_size)]
        for step in range(steps):
            start = (step * world_size + rank) * size
            yield _batch(_take(self._blocks, order[start : start + size]), size)


class StreamedRows:
    """Rows that do not fit into memory: `stream(size, seed)` passes over them once, in arrays of at most `size`."""

    def __init__(self, stream: Callable[[int, int | None], Iterable[Arrays]], num_rows: int) -> None:
        self._stream = stream
        self.num_rows = num_rows

    def subset(self, fraction: float, seed: int) -> Rows:
        """Raises ConfigError: which rows are in would be known only after they have all been read."""
        raise ConfigError(
            f"`data.train_fraction` {fraction:g} needs data that fit into memory; give a smaller table instead"
        )

    def drawn(self, drawing: Drawing, rank: int, world_size: int) -> Rows:
        """Raises ConfigError: drawing with replacement needs every row at hand."""
        raise drawing.needs_memory

    def batches(self, size: int, steps: int, seed: int | None) -> Iterator[Batch]:
        """See `Rows.batches`."""
        step, none = 0, None
        for arrays in self._stream(size, seed):
            step, none = step + 1, {name: array[:0] for name, array in arrays.items()}
            yield _batch(arrays, size)
        assert none is not None or not steps, "a worker's share is empty: fewer shards than workers"
        for _ in range(steps - step):
            assert none is not None
            yield _batch(none, size)


def _uniform(image: npt.NDArray[np.uint8], seed: int) -> float:
    """A value in [0, 1) that this image and this seed always give, spread evenly over images."""
    digest = hashlib.blake2b(image.tobytes(), digest_size=7, key=str(seed).encode()).digest()
    return int.from_bytes(digest) / 256**7


def mixed(blocks: Iterable[Arrays], size: int, window: int, generator: np.random.Generator) -> Iterator[Arrays]:
    """The rows of blocks in batches of `size`, the last one shorter; at least `window` rows at a time are shuffled.

    The generator alone decides the order.
    """
    waiting: list[Arrays] = []
    for block in blocks:
        waiting.append(block)
        total = sum(len(arrays["label"]) for arrays in waiting)
        if total >= window + size:
            order = generator.permutation(total)
            whole = total // size * size
            yield from (_take(waiting, order[start : start + size]) for start in range(0, whole, size))
            waiting = [_take(waiting, order[whole:])] if whole < total else []
    order = generator.permutation(sum(len(arrays["label"]) for arrays in waiting))
    yield from (_take(waiting, order[start : start + size]) for start in range(0, len(order), size))


def _take(blocks: Sequence[Arrays], rows: npt.NDArray[np.int64]) -> Arrays:
    """A copy of these rows; `rows` index the blocks as if they were one array."""
    starts = np.cumsum([0, *(len(block["label"]) for block in blocks)])
    block = np.searchsorted(starts, rows, side="right") - 1
    where = list(zip(block.tolist(), (rows - starts[block]).tolist(), strict=True))
    if not where:
        return {name: array[:0] for name, array in blocks[0].items()}
    return {name: np.stack([blocks[b][name][i] for b, i in where]) for name in blocks[0]}


def _batch(arrays: Arrays, size: int) -> Batch:
    return Batch(arrays["image"], arrays["label"], _positions(arrays), size)


def _positions(arrays: Arrays) -> npt.NDArray[np.int64]:
    return arrays.get("row", np.full(len(arrays["label"]), UNKNOWN_ROW))
