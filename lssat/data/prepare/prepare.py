"""`data.source` -> the folder of a prepared data set, made once and found again in the cache."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lssat.command import Notify
from lssat.config import ConfigError, DataConfig
from lssat.data.parallel import Spread, in_processes, start_fork_server
from lssat.data.prepare.audit import check_leaks
from lssat.data.prepare.opening import read_table
from lssat.data.prepare.progress import Progress
from lssat.data.prepare.resumable import begin_or_go_on, write_listing
from lssat.data.prepared.table import (
    INFO_FILE,
    LEAKS_FILE,
    READING,
    SPLITS,
    DatasetInfo,
    changed_fingerprint,
    is_complete,
    read_info,
)
from lssat.data.prepared.writing import REJECTS_FILE, Acceptance, clear_partial, write_dataset
from lssat.data.sources.registry import fingerprint, open_listing
from lssat.data.sources.source import OWN, SYNTHETIC, Source, located
from lssat.data.synthetic import DRAWINGS
from lssat.files import free

FORMAT = 4  # of the prepared folder; raise it when older folders must not be found any more


@dataclass(frozen=True)
class Preparation:
    """A source and the settings that are to be prepared. `content`: a fingerprint of what the source holds."""

    source: Source
    data: DataConfig
    content: str

    @classmethod
    def of(cls, source: Source, data: DataConfig) -> Preparation:
        """Looks at what the source holds now. Raises ConfigError where it cannot be read."""
        if source.kind == SYNTHETIC:
            return cls(source, data, DRAWINGS.get(data.task, ""))  # a task that there is not is refused elsewhere
        return cls(source, data, fingerprint(source))

    @property
    def options(self) -> dict[str, Any]:
        """The options that change what is prepared: images of own data are kept in their own size."""
        data, source = self.data, self.source
        options: dict[str, Any] = {
            "task": data.task,
            "classes": None if data.classes is None else sorted(set(data.classes)),
            "seed": data.seed,
            "allow_leaks": data.allow_leaks,
        }
        if data.class_names is not None:  # else a folder of before would not be found again
            options["class_names"] = data.class_names
        if source.kind == SYNTHETIC:
            return options | {"num_images": data.num_images, "image_size": data.image_size}
        if source.kind == OWN:
            return options
        return options | {"kind": source.kind, **{f"{source.kind}.{name}": v for name, v in source.options.items()}}

    @property
    def fingerprint(self) -> str:
        """sha256 of the source and the options: what decides whether a prepared folder is the one asked for."""
        return _sha256([FORMAT, self.content, self.options])

    @property
    def shards_fingerprint(self) -> str:
        """sha256 of what decides the shards: leaks that were refused may be allowed without opening files again."""
        return _sha256([FORMAT, READING, self.content, {**self.options, "allow_leaks": None}])

    def describe(self, info: DatasetInfo) -> DatasetInfo:
        """`info` with the options beside those that the reader recorded."""
        return replace(info, options=self.options | info.options | {"reading": READING})

    def accept(self, folder: Path, info: DatasetInfo) -> DatasetInfo:
        """`info` of written shards with their leaks and fingerprint. Raises ConfigError (`check_leaks`).

        Data that older versions read alike keep the fingerprint, so that studies that these began go on.
        """
        fingerprint = changed_fingerprint(self.fingerprint) if info.options.get("changed") else self.fingerprint
        return replace(check_leaks(folder, info, self.data.allow_leaks), fingerprint=fingerprint)

    def is_made(self, folder: Path) -> bool:
        """Whether the folder holds this, whole, as it is read today."""
        return is_complete(folder) and self.is_described_by(read_info(folder))

    def is_described_by(self, info: DatasetInfo) -> bool:
        """Whether `info` is of this source and these options, as they are read today."""
        fingerprints = (self.fingerprint, changed_fingerprint(self.fingerprint))
        is_current = info.synthetic or info.options.get("reading") == READING
        return is_current and info.fingerprint in fingerprints


def prepare(data: DataConfig, cache: Path, notify: Notify, spread: Spread = in_processes) -> Path:
    """The folder of the prepared data set, `cache/<source>-<task>-<fingerprint>`.

    It is made when it is not there whole, and found again as long as neither the source nor an option that matters has
    changed; a source that is a prepared data set is taken as it is. `read_info(folder).rejects` lists what was left
    out. Raises ConfigError.
    """
    source = located(data.source)
    if source.kind != SYNTHETIC and (source.path / INFO_FILE).is_file():
        check_prepared(source.path, data)
        return source.path
    preparation = Preparation.of(source, data)
    name = f"{_slug(source.path.name)}-{_slug(data.task)}-{preparation.fingerprint[:12]}"
    folder = cache.absolute() / name
    write(folder, preparation, notify, spread)
    return folder


def write(folder: Path, preparation: Preparation, notify: Notify, spread: Spread) -> None:
    """Make `folder` if it is not there whole. Raises ConfigError."""
    if preparation.is_made(folder):
        return
    with _locked(folder, notify):
        clear_partial(folder)
        if preparation.is_made(folder):  # another process has made it meanwhile
            return
        begun = time.monotonic()
        info = _write(folder, preparation, notify, spread)
        notify(_summary(folder, info, time.monotonic() - begun))


def check_prepared(folder: Path, data: DataConfig) -> None:
    """Refuse a prepared data set that lacks shards or was prepared for something else. Raises ConfigError."""
    info = read_info(folder)
    if not is_complete(folder):
        raise ConfigError(f"`data.source`: the prepared data set `{folder}` lacks shards; prepare it again")
    if "task" in data.model_fields_set and data.task != info.task:
        raise ConfigError(
            f"`data.source`: `{folder}` was prepared for task `{info.task}`, not `{data.task}`; leave `data.task` "
            "out, or prepare it anew"
        )
    for name in ("classes", "class_names"):
        if getattr(data, name) is not None:
            raise ConfigError(
                f"`data.{name}` cannot be changed of a prepared data set; leave it out, or prepare the source anew"
            )


def _write(folder: Path, preparation: Preparation, notify: Notify, spread: Spread) -> DatasetInfo:
    data = preparation.data
    if preparation.source.kind == SYNTHETIC:
        from lssat.data.prepare.synthetic import synthetic_rows  # what draws takes a while to import

        info, faces = synthetic_rows(data, notify)
        return write_dataset(folder, faces, preparation.describe(info), Acceptance(check=preparation.accept))
    start_fork_server()
    listing = open_listing(preparation.source, data)
    info = preparation.describe(listing.info)
    listing = replace(listing, info=replace(info, options=info.options | {"crop": listing.crop}))
    acceptance = Acceptance(data.max_rejects, preparation.accept)
    if listing.media == "table":
        rows = Progress(notify, "checking images", len(listing.entries)).follow(read_table(listing))
        return write_dataset(folder, rows, listing.info, acceptance)
    begin_or_go_on(folder, preparation.shards_fingerprint)
    return write_listing(folder, listing, acceptance, notify, spread)


@contextmanager
def _locked(folder: Path, notify: Notify) -> Iterator[None]:
    """One process at a time makes `folder`. The system frees the lock when the process ends, however it ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        notify(f"waiting for another process that prepares {folder.name}")
        lock.acquire()
    try:
        yield
    finally:
        free(lock)


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "_", text)[:40]


def _summary(folder: Path, info: DatasetInfo, seconds: float) -> str:
    rows = ", ".join(f"{info.rows[split]} {split}" for split in SPLITS)
    rejected = f", {len(info.rejects)} left out ({folder / REJECTS_FILE})" if info.rejects else ""
    num_leaks = info.options["leaks"]
    leaks = (
        f", {num_leaks} leak{'' if num_leaks == 1 else 's'} across splits allowed ({folder / LEAKS_FILE})"
        if num_leaks
        else ""
    )
    return f"prepared {info.source}: {rows}{rejected}{leaks}, in {seconds:.1f} s"
