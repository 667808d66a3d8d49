"""Which rows of a prepared data set are learnt from and scored, where `data.hold_out` keeps values from training.

A score on what training has seen says little of what comes: a detector of forgeries may know the traces of the methods
it was shown. So training leaves rows of the held-out values out; validation and test score these, beside the rows
without a value (real faces have no method). Their other rows tell how it is "in domain". `lssat.evaluation.units` finds
both parts (`Domains`) among the rows of a split, and here they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from lssat.data.prepared.counts import with_counts
from lssat.data.prepared.table import SPLITS, DatasetInfo, Label, read_info, read_texts, shard_paths
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

Mask = npt.NDArray[np.bool_]


class Cell(NamedTuple):
    """What decides where an image, or a video that is yet to be opened, counts. `value`: of the column."""

    split: str
    label: Label
    value: str


def learnt_rows(folder: Path, data: DataConfig) -> Mask | None:
    """Which rows of the training split are learnt from [N]; None: all of them."""
    if data.hold_out is None:
        return None
    return ~np.isin(read_texts(folder, "train")[data.hold_out], data.held_out or [])


def as_used(folder: Path, data: DataConfig) -> DatasetInfo:
    """What a study has of a prepared data set: of training what it learns from, of validation and test what its scores
    are of.
    """
    info = read_info(folder)
    return info if data.hold_out is None else _as_scored(info, cells_of(folder, data.hold_out), data)


def used_shares(cells: Iterable[Cell] | None, data: DataConfig) -> dict[str, float]:
    """Of each split the share of its images that is learnt from or scored; all of them where no more is known."""
    cells = list(cells or ())
    used, there = (Counter(cell.split for cell in some) for some in (_used(cells, data), cells))
    return {split: used[split] / there[split] if there[split] else 1.0 for split in SPLITS}


def cells_of(folder: Path, column: str) -> list[Cell]:
    """Those of all rows of a prepared data set, with no value where it lacks the column."""
    has_column = column in read_info(folder).columns
    found: list[Cell] = []
    for split in SPLITS:
        for path in shard_paths(folder, split):
            table = pq.ParquetFile(path).read(columns=["label", column] if has_column else ["label"])
            labels = (tuple(each) if isinstance(each, list) else each for each in table["label"].to_pylist())
            values = map(str, table[column].to_pylist()) if has_column else [""] * len(table)
            found += map(Cell, [split] * len(table), labels, values)
    return found


def check_hold_out(info: DatasetInfo, data: DataConfig, cells: Iterable[Cell]) -> None:
    """Refuse a hold-out by which nothing can be learnt or scored. `cells`: of all images. Raises ConfigError."""
    if data.hold_out is None:
        return
    if data.hold_out not in info.columns:
        known = nearest(data.hold_out, info.columns, "they have") if info.columns else "they have none"
        raise ConfigError(f"`data.hold_out` names `{data.hold_out}`, but the data have no such column; {known}")
    cells = list(cells)
    values = _values(cells)
    for name in data.held_out or ():
        if name not in values:
            raise ConfigError(
                f"`data.held_out` names `{name}`, which no image has as `{data.hold_out}`; "
                f"{nearest(name, values, 'its values are')}"
            )
    if lack := _lack(info, cells, data):
        judged = f"leave out `data.validate_on`, by which validation and test are of `{data.validate_on}` alone, or "
        is_judged = data.validate_on is not None and not lack.endswith(" in training")
        raise ConfigError(
            f"`data.held_out: [{', '.join(data.held_out or ())}]` {lack}; {judged if is_judged else ''}hold out other "
            f"values of `{data.hold_out}`, which has {_numbers(cells, values)}"
        )


def folds_of(info: DatasetInfo, data: DataConfig, cells: Iterable[Cell]) -> tuple[list[str], list[str]]:
    """The values of `data.hold_out` that can be held out by themselves; of the others, why not, in words. Where those
    of `data.held_out` are of one class (forgeries), so are all.
    """
    cells = list(cells)
    labels = {cell.label for cell in cells if cell.value in (data.held_out or ())}
    others = {cell.value for cell in cells if cell.label not in labels}
    lacks = {
        value: "its images are of another class" if value in others else _lack(info, cells, fold_of(data, value))
        for value in _values(cells)
    }
    folds = [value for value, lack in lacks.items() if not lack]
    return folds, [f"`{value}` ({lack})" for value, lack in lacks.items() if lack]


def fold_of(data: DataConfig, value: str) -> DataConfig:
    """The data with this value held out."""
    return data.model_copy(update={"held_out": [value]})


def check_folds(folds: Sequence[str], why_not: Sequence[str], location: str | None) -> None:
    """Refuse fewer than two values to rotate. Raises ConfigError."""
    if len(folds) < 2:
        at = f" ({location})" if location else ""
        raise ConfigError(
            f"`search.rotate` needs at least two values of `data.hold_out` that can be held out, but got {len(folds)}"
            f"{': ' if why_not else ''}{'; '.join(why_not)}; add images, or delete `search.rotate`{at}"
        )


def _as_scored(info: DatasetInfo, cells: Iterable[Cell], data: DataConfig) -> DatasetInfo:
    """`info` of what is learnt from, and of the held-out part of validation and test."""
    return with_counts(info, ((cell.split, cell.label) for cell in _used([*cells], data)))


def _used(cells: Sequence[Cell], data: DataConfig) -> list[Cell]:
    """Those that are learnt from, and of validation and test those of the held-out part."""
    if data.hold_out is None:
        return [*cells]
    held_out = {*(data.held_out or ())}
    in_both = _in_both({*cells}, held_out)

    def counts(cell: Cell) -> bool:
        return cell.value not in held_out if cell.split == "train" else cell.value in held_out or cell in in_both

    return [cell for cell in cells if counts(cell)]


def _in_both(cells: Collection[Cell], held_out: Collection[str]) -> set[Cell]:
    """Those of both parts of their split: see `lssat.evaluation.units.Domains`."""
    found = {cell for cell in cells if not cell.value}
    for split in SPLITS:
        of_split = {cell for cell in cells if cell.split == split}
        labels = {cell.label for cell in of_split if cell.value in held_out}
        if len(labels) == 1 and isinstance(label := labels.pop(), int):
            with_label = {cell.value for cell in of_split if cell.label == label}
            found |= {cell for cell in of_split if cell.label != label and cell.value not in with_label}
    return found


def _in_domain(info: DatasetInfo, cells: Iterable[Cell], data: DataConfig) -> DatasetInfo:
    """`info` of what has none of the held-out values."""
    held_out = {*(data.held_out or ())}
    return with_counts(info, ((cell.split, cell.label) for cell in cells if cell.value not in held_out))


def _values(cells: Iterable[Cell]) -> list[str]:
    return sorted({cell.value for cell in cells} - {""})


def _lack(info: DatasetInfo, cells: Sequence[Cell], data: DataConfig) -> str:
    """What a classifier lacks in which part, in words; empty where nothing."""
    scored, others = _as_scored(info, cells, data), _in_domain(info, cells, data)
    parts = [("training", scored, "train")]
    for split in ("val", "test"):
        parts += [(f"the held-out part of `{split}`", scored, split), (f"the other part of `{split}`", others, split)]
    found = ((part, _lack_of(counted, split)) for part, counted, split in parts)
    return next((f"leaves {lack} in {part}" for part, lack in found if lack), "")


def _lack_of(info: DatasetInfo, split: str) -> str:
    counts, rows = info.counts[split], info.rows[split]
    if not rows:
        return "no image"
    never = [name for name in info.classes if not counts[name]]
    if info.kind != "multilabel":
        return f"no image of class {listed(never)}" if never else ""
    always = [name for name in info.classes if counts[name] == rows]
    if never:
        return f"no positive image of label {listed(never)}"
    return f"no negative image of label {listed(always)}" if always else ""


def _numbers(cells: Iterable[Cell], values: Iterable[str]) -> str:
    """How many images of each value each split has."""
    counts: Counter[Any] = Counter((cell.value, cell.split) for cell in cells)
    each = (f"`{value}` ({', '.join(f'{counts[value, split]} {split}' for split in SPLITS)})" for value in values)
    return ", ".join(each)
