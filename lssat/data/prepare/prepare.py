"""The door to data: `data.source` -> the folder of a prepared data set, made once and found again in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from lssat.config import ConfigError, DataConfig
from lssat.data.images import decoded
from lssat.data.parallel import Spread, begin, in_processes
from lssat.data.prepare.audit import check_leaks
from lssat.data.prepare.opening import read_table
from lssat.data.prepare.resumable import write_listing
from lssat.data.prepared.hashing import thumbnail_of
from lssat.data.prepared.table import (
    INFO_FILE,
    SPLITS,
    DatasetInfo,
    Label,
    Row,
    is_complete,
    partial_prefix,
    read_info,
    write_dataset,
)
from lssat.data.sources import own
from lssat.data.sources.assemble import pick_classes
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import located
from lssat.task import Kind

DRAWING = "0de09dfae5d2b22af27e8a1c528f7723cb8167eabdd6355eff2f7321131a235c"
"""Of the synthetic faces: give it another value when what is drawn changes."""
FORMAT = 4  # of the prepared folder; raise it when older folders must not be found any more
SECONDS_BETWEEN_NOTES = 5.0
Note = Callable[[str], None]
Item = TypeVar("Item")


def prepare(data: DataConfig, cache: Path, note: Note, spread: Spread = in_processes) -> Path:
    """The folder of the prepared data set, `cache/<source>-<task>-<fingerprint>`; a source that is one is taken as it
    is.

    Made when it is not there whole; found again as long as neither the source nor an option that matters has changed.
    What was left out is in `read_info(folder).rejects`. `note` is told in one line at a time what happens. Raises
    ConfigError.
    """
    if data.source != "synthetic" and (given := located(data.source).path / INFO_FILE).is_file():
        return _as_given(given.parent, data)
    fingerprint = fingerprint_of(data)
    name = data.source if data.source == "synthetic" else located(data.source).path.name
    folder = cache.absolute() / f"{_slug(name)}-{_slug(data.task)}-{fingerprint[:12]}"
    write(folder, data, fingerprint, note, spread)
    return folder


def write(folder: Path, data: DataConfig, fingerprint: str, note: Note, spread: Spread) -> None:
    """Make `folder` if it is not there whole. Raises ConfigError."""
    if is_complete(folder):
        return
    with _alone(folder, note):
        if is_complete(folder):  # another process has made it meanwhile
            return
        begun = time.monotonic()
        check = partial(check_leaks, allow=data.allow_leaks)
        if data.source == "synthetic":
            info, items = _synthetic(data, note)
            info = write_dataset(folder, items, _described(info, data, fingerprint), check)
        else:
            begin()
            listing = open_listing(data)
            info = _described(listing.info, data, fingerprint)
            if listing.media == "table":
                rows = _told(read_table(listing), len(listing.entries), "checking images", note)
                info = write_dataset(folder, rows, info, check, data.max_rejects)
            else:
                told = partial(_told, what="opening files", note=note)
                info = write_listing(folder, listing, info, spread, told, check, data.max_rejects)
        note(_summary(info, time.monotonic() - begun))


def _described(info: DatasetInfo, data: DataConfig, fingerprint: str) -> DatasetInfo:
    return replace(info, fingerprint=fingerprint, options=_options(data) | info.options)


def _as_given(folder: Path, data: DataConfig) -> Path:
    info = read_info(folder)
    if not is_complete(folder):
        raise ConfigError(f"`data.source`: the prepared data set `{folder}` lacks shards; prepare it again")
    if "task" in data.model_fields_set and data.task != info.task:
        raise ConfigError(
            f"`data.source`: `{folder}` was prepared for task `{info.task}`, not `{data.task}`; leave `data.task` "
            "out, or prepare it anew"
        )
    if data.classes is not None:
        raise ConfigError(
            "`data.classes` cannot be changed of a prepared data set; leave it out, or prepare the source anew"
        )
    return folder


def _synthetic(data: DataConfig, note: Note) -> tuple[DatasetInfo, Iterator[Row]]:
    from lssat.data.synthetic import generate as synthetic

    if data.task not in synthetic.KINDS:
        raise ConfigError(
            f"`data.task` of synthetic faces must be one of {', '.join(synthetic.KINDS)}, but got `{data.task}`"
        )
    kind, found = cast(Kind, synthetic.KINDS[data.task]), synthetic.CLASSES[data.task]
    if data.classes is not None and kind == "multilabel":
        raise ConfigError(f"`data.classes` selects classes of one label, but task `{data.task}` has several; remove it")
    classes = found if kind == "multilabel" else pick_classes(found, data)
    if kind == "multiclass" and len(classes) == 2:
        kind = "binary"
    index: dict[Label, int] = {found.index(name): position for position, name in enumerate(classes)}
    rendered = synthetic.generate(data.task, data.num_images, data.image_size, data.seed)
    total = len(synthetic.plan(data.task, data.num_images, data.image_size, data.seed))
    rows = (
        Row(
            row.image,
            row.label if kind == "multilabel" else index[row.label],
            str(row.identity),
            row.split,
            thumbnail=thumbnail_of(decoded(row.image)),
        )
        for row in _told(rendered, total, "rendering synthetic faces", note)
        if kind == "multilabel" or row.label in index
    )
    return DatasetInfo("synthetic", data.task, kind, classes, synthetic=True), rows


def fingerprint_of(data: DataConfig) -> str:
    """sha256 of the source and the options. The source of synthetic faces is the version of their drawing."""
    source = DRAWING if data.source == "synthetic" else own.fingerprint(data)
    return hashlib.sha256(json.dumps([FORMAT, source, _options(data)], sort_keys=True).encode()).hexdigest()


def _options(data: DataConfig) -> dict[str, object]:
    """The options that change what is prepared: images of own data are kept in their own size."""
    classes = None if data.classes is None else sorted(set(data.classes))
    options: dict[str, object] = {
        "task": data.task,
        "classes": classes,
        "seed": data.seed,
        "allow_leaks": data.allow_leaks,
    }
    if data.source != "synthetic" and (source := located(data.source)).kind != "own":
        options |= {"kind": source.kind, **{f"{source.kind}.{name}": value for name, value in source.options.items()}}
    return options | (
        {"num_images": data.num_images, "image_size": data.image_size} if data.source == "synthetic" else {}
    )


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "_", text)[:40]


@contextmanager
def _alone(folder: Path, note: Note) -> Iterator[None]:
    """One process at a time makes `folder`; what killed ones have left unfinished is cleared away."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open(
        "w"
    ) as lock:  # the system lets go of it when this process ends, however it ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"waiting for another process that prepares {folder.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in folder.parent.glob(f"{partial_prefix(folder)}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        yield


def _told(
    items: Iterable[Item],
    total: int,
    what: str,
    note: Note,
    done: int = 0,
    size: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Item]:
    """The items, with a note every few seconds of how many there were, how fast they come and how long the rest will
    take.
    """
    note(f"{what} {done}/{total}")
    begun = told = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += size(item)
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_NOTES:
            told = now
            rate = count / (now - begun)
            note(f"{what} {done + count}/{total}, {rate:.0f}/s, {_duration((total - done - count) / rate)} left")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _summary(info: DatasetInfo, seconds: float) -> str:
    rows = ", ".join(f"{info.rows[split]} {split}" for split in SPLITS)
    rejected = f", {len(info.rejects)} left out" if info.rejects else ""
    leaks = f", {info.options['leaks']} leaks across splits allowed" if info.options["leaks"] else ""
    return f"prepared {info.source}: {rows}{rejected}{leaks}, in {seconds:.1f} s"
