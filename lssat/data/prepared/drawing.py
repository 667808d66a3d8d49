"""Which rows an epoch takes where rows are drawn: in proportions by class and data set, or in pairs of one source.

They are drawn with replacement, as many as there are (in pairs, but for an odd one). Every worker has the whole split
before it, draws the same epoch and takes its part of each global batch, so that their number changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lssat.data.prepared.row_keys import Clips, RowKeys
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

Labels = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Chances = npt.NDArray[np.float64]


class Order(Protocol):
    """What an epoch takes of some rows."""

    @property
    def num_rows(self) -> int:
        """How many it takes."""
        ...

    def draw(self, generator: np.random.Generator, batch: int) -> Indices:
        """Which of the rows [num_rows], one global batch of `batch` after the other."""
        ...


@dataclass(frozen=True)
class Drawing:
    """How the rows of the training split are drawn. `asked`: the keys that ask for it, for messages. `is_balanced`:
    classes come equally often.
    """

    asked: tuple[str, ...]
    is_balanced: bool
    keys: RowKeys

    @classmethod
    def of(cls, data: DataConfig, has_one_label: bool, keys: RowKeys | None) -> Drawing | None:
        """None where every row comes once: rows of several labels cannot be evened out by drawing them.

        `keys`: as of `read_keys`; None: nothing is known but the labels.
        """
        is_balanced = data.sampling == "balanced" and has_one_label
        by_sampling = [f"`data.sampling` {data.sampling}"] if is_balanced or data.sampling == "paired" else []
        asked = (*by_sampling, *([] if data.weights is None else ["`data.weights`"]))
        return cls(asked, is_balanced, keys or RowKeys()) if asked else None

    @property
    def needs_memory(self) -> ConfigError:
        """What is wrong where the rows are streamed."""
        need, them = ("needs", "it") if len(self.asked) == 1 else ("need", "both")
        instead = " (`optim.class_balanced` evens out classes as well)" if self.is_balanced and need == "needs" else ""
        return ConfigError(
            f"{' and '.join(self.asked)} {need} data that fit into memory; lower `data.image_size`, give less data, or "
            f"leave {them} out{instead}"
        )

    def order(self, label: Labels, position: Indices) -> Order:
        """Of rows with these labels, in these positions of their split. Raises ConfigError where no two make a pair."""
        if self.keys.clips is None:
            return _Proportions(self._chances(label, position))
        fakes = _fakes(label, position, self.keys.clips)
        if not fakes:
            raise ConfigError(
                f"`data.sampling` paired finds no pair of one source among the {len(label)} rows that training is left "
                "with; raise `data.train_fraction`"
            )
        own = np.array([fake.row for fake in fakes])
        return _Pairs(len(label) // 2, fakes, self._chances(label[own], position[own]))

    def _chances(self, label: Labels, position: Indices) -> Chances:
        """Of each row to be the next [N]. Data sets come in their proportions; within each, classes come equally often
        where that is asked for, and rows of one class always do.
        """
        datasets = self.keys.datasets
        dataset = np.zeros(len(position), np.int64) if datasets is None else datasets.number[position]
        cells = np.stack([dataset, label]) if self.is_balanced else dataset[None]
        found, cell, rows = np.unique(cells, axis=1, return_inverse=True, return_counts=True)
        chances: Chances = 1 / rows[cell]
        if datasets is not None:
            chances *= datasets.weight[dataset] / np.bincount(found[0])[dataset]
        chances /= chances.sum()
        return chances


class _Proportions(NamedTuple):
    """Rows by their chances [N]."""

    chances: Chances

    @property
    def num_rows(self) -> int:
        """How many an epoch takes."""
        return len(self.chances)

    def draw(self, generator: np.random.Generator, batch: int) -> Indices:
        """See `Order.draw`."""
        return generator.choice(self.num_rows, self.num_rows, p=self.chances)


class _Fake(NamedTuple):
    """A fake and the real rows of its source, clip by clip. `time`: where in its clip it is, 0 to 1; None: unknown."""

    row: int
    partners: list[list[int]]
    time: float | None


class _Pairs(NamedTuple):
    """Pairs of a real and a fake row, by the chances of the fakes."""

    num_pairs: int
    fakes: list[_Fake]
    chances: Chances

    @property
    def num_rows(self) -> int:
        """How many an epoch takes."""
        return 2 * self.num_pairs

    def draw(self, generator: np.random.Generator, batch: int) -> Indices:
        """See `Order.draw`. Of a clip that is known by its time it is the frame at the same time. In a batch rows lie
        in no order, so that neither micro-batches nor mixup, whose neighbours are mixed, meet real rows or pairs alone.
        """
        chosen = generator.choice(len(self.fakes), self.num_pairs, p=self.chances)
        rows = np.empty((self.num_pairs, 2), np.int64)
        for pair, (number, (which, when)) in enumerate(zip(chosen, generator.random((self.num_pairs, 2)), strict=True)):
            row, partners, time = self.fakes[number]
            clip = partners[int(which * len(partners))]
            rows[pair] = clip[int((when if time is None else time) * len(clip))], row
        return rows.ravel()[np.argsort(np.arange(self.num_rows) // batch + generator.random(self.num_rows))]


def _fakes(label: Labels, position: Indices, clips: Clips) -> list[_Fake]:
    """Those that have a partner among these rows."""
    rows_of: dict[int, list[int]] = {}
    for row in np.argsort(position).tolist():
        rows_of.setdefault(int(clips.number[position[row]]), []).append(row)
    fakes = []
    for number, rows in rows_of.items():
        there = [clip for clip in clips.partners.get(number, ()) if clip in rows_of]
        is_timed = {number, *there} <= clips.films
        partners = [rows_of[clip] for clip in there]
        times = [(rank + 0.5) / len(rows) if is_timed else None for rank in range(len(rows))]
        fakes += [_Fake(row, partners, time) for row, time in zip(rows, times, strict=True)] if there else []
    return fakes
