"""What a study learns from where values of a column are held out, by all of its trials and by its final stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from lssat.command import Notify
from lssat.data.prepared.selection import as_used, cells_of, check_folds, fold_of, folds_of
from lssat.data.prepared.table import SPLITS, read_info
from lssat.on_ray.ingest import Split, open_folds
from lssat.settings.data import DataConfig
from lssat.storage.place import Place
from search.space.definition import Space
from search.study.trial import LearntFrom, key_of


def say_what_is_held_out(console: Console, prepared: Path, data: DataConfig) -> None:
    """How many images are learnt from and scored; nothing where all are."""
    if data.hold_out is None:
        return
    info, used = read_info(prepared), as_used(prepared, data)
    scored = ", ".join(f"{used.rows[split]:,} of {info.rows[split]:,} images of {split}" for split in SPLITS[1:])
    console.print(
        f"  held out  {data.hold_out} {', '.join(data.held_out or ())}: training has {used.rows['train']:,} of "
        f"{info.rows['train']:,} images, without these; scores are of {scored}",
        soft_wrap=True,
    )


def values_to_rotate(prepared: Path, space: Space, notify: Notify) -> list[str]:
    """The values that can be held out one after the other, in their order, and none where nothing is held out. Raises
    ConfigError where `search.rotate` has too few of them.
    """
    data = space.example().data
    if data.hold_out is None:
        return []
    values, why_not = folds_of(read_info(prepared), data, cells_of(prepared, data.hold_out))
    if space.search.rotate:
        check_folds(values, why_not, space.locations.get("search.rotate"))
        notify(f"rotate    the final stage holds out {', '.join(values)}, one after the other")
        if why_not:
            notify(f"          and not: {'; '.join(why_not)}")
    return values


def opened(
    prepared: Path, space: Space, values: Sequence[str], worker_counts: Sequence[int], shards: Place | None = None
) -> tuple[Mapping[int, Mapping[str, Split]], dict[str, LearntFrom]]:
    """The decoded data, by number of workers, of the search, and of each value that the final stage holds out.
    `shards`: see `ingest.open_splits`. Raises ConfigError.
    """
    data = space.example().data
    datas = [fold_of(data, value) for value in values] if space.search.rotate else []
    splits, *others = open_folds(prepared, ("train", "val"), [data, *datas], worker_counts, shards)
    rotated = zip(datas, others, strict=True)
    return splits, {key_of(each): LearntFrom(as_used(prepared, each).as_task, found) for each, found in rotated}
