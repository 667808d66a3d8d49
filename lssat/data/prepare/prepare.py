"""`data.source` -> the folder of a prepared data set, made once and found again in the cache."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lssat.command import Notify
from lssat.data.parallel import Spread, in_processes, start_fork_server
from lssat.data.prepare.asked import OF_VIDEOS, Faces, with_faces
from lssat.data.prepare.audit import check_leaks
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.joining import Joinable, Joining, refuse_copies, settings_of_parts
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
    detected_fingerprint,
    is_complete,
    read_info,
)
from lssat.data.prepared.writing import REJECTS_FILE, Acceptance, clear_partial, write_dataset
from lssat.data.sources.registry import fingerprint, open_listing
from lssat.data.sources.source import MAPPED, OWN, SYNTHETIC, Source, located
from lssat.data.synthetic import DRAWINGS
from lssat.errors import ConfigError
from lssat.files import free
from lssat.settings.data import DataConfig

FORMAT = 4  # of the prepared folder; raise it when older folders must not be found any more
WITH_METHODS = ("faceforensics", "celebdf", "deepfakebench")  # once real faces had a method: the folder they are in


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
        for name in ("class_names", "align"):  # else a folder of before would not be found again
            if getattr(data, name) is not None:
                options[name] = getattr(data, name)
        if source.kind == SYNTHETIC:
            return options | {"num_images": data.num_images, "image_size": data.image_size}
        if source.kind == OWN:
            return options
        name = "layout" if source.kind in MAPPED else "kind"  # data of a kind are not one's own
        return options | {name: source.kind, **{f"{source.kind}.{name}": v for name, v in source.options.items()}}

    @property
    def reading(self) -> int:
        """READING, or the later one by which the methods of fakes are read: real faces have none."""
        return READING + (self.source.kind in WITH_METHODS)

    @property
    def fingerprint(self) -> str:
        """sha256 of the source and the options: what decides whether a prepared folder is the one asked for."""
        return _sha256([FORMAT, self.content, self.options])

    @property
    def shards_fingerprint(self) -> str:
        """sha256 of what decides the shards: leaks that were refused may be allowed without opening files again."""
        return _sha256([FORMAT, self.reading, DETECTOR, self.content, {**self.options, "allow_leaks": None}])

    @property
    def as_part(self) -> str:
        """sha256 of that, of how it is read, and of the detector that may find its faces: by it joined data know it."""
        return _sha256([self.fingerprint, self.reading, DETECTOR if self.source.kind in OF_VIDEOS else None])

    def describe(self, info: DatasetInfo) -> DatasetInfo:
        """`info` with the options beside those that the reader recorded."""
        return replace(info, options=self.options | info.options | {"reading": self.reading})

    def accept(self, folder: Path, info: DatasetInfo) -> DatasetInfo:
        """`info` of written shards with their leaks and fingerprint. Raises ConfigError (`check_leaks`).

        Data that older versions read alike keep the fingerprint, so that studies that these began go on; the detector
        is part of it where it found the faces.
        """
        fingerprint = changed_fingerprint(self.fingerprint) if info.options.get("changed") else self.fingerprint
        if Faces.of(info).are_found:
            fingerprint = detected_fingerprint(fingerprint, DETECTOR)
        return replace(check_leaks(folder, info, self.data.allow_leaks), fingerprint=fingerprint)

    def is_made(self, folder: Path) -> bool:
        """Whether the folder holds this, whole, as it is read today."""
        return is_complete(folder) and self.is_described_by(read_info(folder))

    def is_described_by(self, info: DatasetInfo) -> bool:
        """Whether `info` is of this source and these options, as they are read today."""
        fingerprints = [self.fingerprint, changed_fingerprint(self.fingerprint)]
        if Faces.of(info).are_found:
            fingerprints = [detected_fingerprint(each, DETECTOR) for each in fingerprints]
        is_current = info.synthetic or info.options.get("reading") == self.reading
        return is_current and info.fingerprint in fingerprints


def prepare(data: DataConfig, cache: Path, notify: Notify, spread: Spread = in_processes) -> Path:
    """The folder of the prepared data set, `cache/<source>-<task>-<fingerprint>`.

    It is made when it is not there whole, and found again as long as neither the source nor an option that matters has
    changed; a source that is a prepared data set is taken as it is. Of several sources each is prepared by itself, then
    they are joined. `read_info(folder).rejects` lists what was left out. Raises ConfigError.
    """
    if len(data.sources) == 1:
        return _Place.of(data, cache).filled(notify, spread)
    places = {name: _Place.of(part, cache).of_part(cache) for name, part in settings_of_parts(data).items()}
    joining = Joining(data, {name: place.joinable for name, place in places.items()})
    refuse_copies(joining.parts)
    folder = _folder(cache, joining.name, data, joining.expected)

    def write_joined() -> DatasetInfo:
        filled = {name: place.filled(notify, spread) for name, place in places.items()}
        return joining.write(folder, filled, notify)

    _make(folder, notify, joining.is_made, write_joined)
    return folder


@dataclass(frozen=True)
class _Place:
    """The folder of one data set, and how it is prepared there; None where it is prepared already."""

    folder: Path
    data: DataConfig
    preparation: Preparation | None

    @classmethod
    def of(cls, data: DataConfig, cache: Path) -> _Place:
        """Raises ConfigError."""
        source = located(data.sources[0])
        if source.kind != SYNTHETIC and (source.path / INFO_FILE).is_file():
            check_prepared(source.path, data)
            return cls(source.path, data, None)
        return cls.at(cache, Preparation.of(source, data))

    @classmethod
    def at(cls, cache: Path, preparation: Preparation) -> _Place:
        """The folder of a preparation."""
        data = preparation.data
        return cls(_folder(cache, preparation.source.path.name, data, preparation.fingerprint), data, preparation)

    def of_part(self, cache: Path) -> _Place:
        """The same of a part of joined data, whose leaks are looked for in the whole. One that was prepared by itself,
        and so has none, is taken as it is.
        """
        strict = self._permitting(False, cache)
        is_there = strict.preparation is None or strict.preparation.is_made(strict.folder)
        return strict if is_there else self._permitting(True, cache)

    @property
    def joinable(self) -> Joinable:
        """What joining has to know of it."""
        strict, text = self._permitting(False, self.folder.parent).preparation, self.data.sources[0]
        if strict is None:
            fingerprint = read_info(self.folder).fingerprint
            return Joinable(text, fingerprint, fingerprint, str(self.folder.resolve()))
        place = f"{strict.source.kind}:{strict.source.path.resolve()}"
        return Joinable(text, strict.as_part, changed_fingerprint(strict.as_part), place)

    def _permitting(self, leaks: bool, cache: Path) -> _Place:
        """The same data set, whose leaks are recorded or refused; one that is prepared stays as it is."""
        if self.preparation is None:
            return self
        data = self.data.model_copy(update={"allow_leaks": leaks})
        return _Place.at(cache, replace(self.preparation, data=data))

    def filled(self, notify: Notify, spread: Spread) -> Path:
        """The folder, once the data set is in it. Raises ConfigError."""
        if self.preparation:
            write(self.folder, self.preparation, notify, spread)
        return self.folder


def write(folder: Path, preparation: Preparation, notify: Notify, spread: Spread) -> None:
    """Make `folder` if it is not there whole. Raises ConfigError."""
    _make(folder, notify, preparation.is_made, lambda: _write(folder, preparation, notify, spread))


def _make(
    folder: Path, notify: Notify, is_made: Callable[[Path], bool], write_folder: Callable[[], DatasetInfo]
) -> None:
    if is_made(folder):
        return
    with _locked(folder, notify):
        clear_partial(folder)
        if is_made(folder):  # another process has made it meanwhile
            return
        begun = time.monotonic()
        info = write_folder()
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
    for name in ("classes", "class_names", "align"):
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
    listing = replace(listing, info=with_faces(preparation.describe(listing.info), listing.crop))
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


def _folder(cache: Path, name: str, data: DataConfig, fingerprint: str) -> Path:
    return cache.absolute() / f"{_slug(name)}-{_slug(data.task)}-{fingerprint[:12]}"


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
