"""The study beside its checkpoints, where these have a storage of their own: what a new machine goes on with where the
run folder is lost.

Every file goes to an object named by its checksum, never written twice; then the pointer names them all. Optuna's study
is copied by SQLite's own backup: the database itself is never opened anywhere but on a disk of this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from lssat.errors import ConfigError
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place
from search.record import names
from search.record.folder import RunFolder, Storage
from search.record.names import OBJECTS, POINTER

EVERY_S = 10.0
"""Seconds between the beginnings of two copies."""
LAST_PATIENCE_S = 60.0
"""For how long a session that ends tries to leave a copy."""
AT_THE_END = (names.LOG, names.PANEL, names.TENSORBOARD, names.BUNDLE, names.REPORT, names.REPORT_PARTS, names.AGAIN)
"""Files and folders that nothing goes on from, so that they are copied once, as a session ends."""
LOCKED_S = 60.0
"""For how long the study is waited for where another process has locked it."""


class Mirror:
    """Keeps the copy of a run folder in its storage up to date, in a thread of its own; a run folder that is its own
    storage has none. `notify` is told where the copy falls behind.
    """

    def __init__(self, folder: RunFolder, storage: Storage, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._mark = storage.mark
        self._place = None if storage.is_of(folder) else storage.place
        self._notify = notify
        self._known: dict[Path, tuple[tuple[int, int], str]] = {}  # time and size of each file -> its checksum
        self._sent: set[str] | None = None
        self._wishes: list[Callable[[], None]] = []
        self._is_wanted, self._is_over = threading.Event(), False
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, then: Callable[[], None] = lambda: None) -> None:
        """Have it copied soon. `then` is done once what there is now is in the copy."""
        if self._place is None:
            then()
            return
        self._wishes.append(then)
        self._is_wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="mirror of the study", daemon=True)
            self._thread.start()

    def now(self) -> None:
        """Have it copied before anything else happens. Raises StorageLost, OSError."""
        if self._place:
            self._copy(self._place, is_last=False)

    def close(self) -> None:
        """Copy all of the run folder, as the session ends; what cannot be copied is told."""
        self._is_over = True
        self._is_wanted.set()
        if self._place and self._folder.has_begun:
            try:
                self._copy(replace(self._place, patience_s=LAST_PATIENCE_S), is_last=True)
                self._notify(f"the study is in {self._place} as well")
            except (OSError, sqlite3.Error) as error:
                self._notify(f"the study is whole in {self._folder.path}, but not in {self._place}: {error}")

    def _follow(self) -> None:
        while not self._is_over:
            self._is_wanted.wait()
            if self._is_over:
                return
            self._is_wanted.clear()
            began = time.monotonic()
            try:
                assert self._place, "nobody follows a run folder that is its own storage"
                self._copy(self._place, is_last=False)
            except (OSError, sqlite3.Error) as error:
                self._notify(f"the copy of the study in {self._place} falls behind: {error}")
                self._is_wanted.set()
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

    def _copy(self, place: Place, is_last: bool) -> None:
        if place.local:
            self._mark.check()  # a mount point without its file system would take the copy, too
        if not self._one_at_a_time.acquire(timeout=place.patience_s):
            raise StorageLost(f"the copy before is still being written after {place.patience_s:.0f} s")
        try:
            wishes, number = self._wishes, len(self._wishes)
            files = {}
            with tempfile.TemporaryDirectory(prefix="lssat-study-") as scratch:
                copy = Path(scratch) / names.STUDY
                if self._folder.study_db.exists():  # before the records, which may know more than it, never less
                    _back_up(self._folder.study_db, copy)
                    files[names.STUDY] = self._put(place, copy)
                for file in sorted(self._files(is_last)):
                    with suppress(FileNotFoundError):  # it was replaced just now
                        files[file.relative_to(self._folder.path).as_posix()] = self._put(place, file)
            (place / POINTER).write(json.dumps({"time": round(time.time(), 3), "files": files}, indent=1).encode())
            self._prune(place, set(files.values()))
            for then in wishes[:number]:
                then()
            del wishes[:number]
        finally:
            self._one_at_a_time.release()

    def _files(self, is_last: bool) -> list[Path]:
        """What is copied beside the study itself."""
        root = self._folder.path
        found = []
        for folder, folders, inside in os.walk(root):
            kept = [] if is_last else AT_THE_END
            folders[:] = [name for name in folders if not name.startswith(".") and name not in kept]
            others = {*kept, names.STUDY, f"{names.STUDY}-journal", names.OWNER}
            found += [Path(folder, name) for name in inside if not name.startswith(".") and name not in others]
        return found

    def _put(self, place: Place, file: Path) -> str:
        """The checksum of a file, whose object is there from now on."""
        status = file.stat()
        stamp = status.st_mtime_ns, status.st_size
        if self._known.get(file, (None, ""))[0] == stamp:
            return self._known[file][1]
        if self._sent is None:
            self._sent = set((place / OBJECTS).sizes())
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._sent:
            (place / OBJECTS / digest).write(content)
            self._sent.add(digest)
        self._known[file] = stamp, digest
        return digest

    def _prune(self, place: Place, named: set[str]) -> None:
        """Delete objects that the pointer does not name any more."""
        with suppress(OSError):  # where one cannot be deleted now, the next copy tries
            for digest in (self._sent or set()) - named:
                (place / OBJECTS / digest).delete()
                self._sent = (self._sent or set()) - {digest}


NO_MIRROR = Mirror(RunFolder(Path()), Storage(Place.of(Path())), print)
"""Of a run folder that is its own storage."""


def is_mirrored(place: Place) -> bool:
    """Whether there is a copy of a study. Raises StorageRefuses, StorageLost, OSError."""
    try:
        return bool((place / POINTER).read())
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # told when it is written to
        return False


def read_copied(place: Place, name: str) -> bytes | None:
    """One file of the copy of a study; None where it is not there. Raises StorageLost, OSError."""
    try:
        pointer = json.loads((place / POINTER).read())
        return (place / OBJECTS / str(pointer["files"][name])).read()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def bring_back(place: Place, to: Path) -> float:
    """Make a folder of the copy of a study; when it was copied, in seconds since 1970. What is in the folder is
    replaced. Raises ConfigError where the copy is damaged, StorageLost, OSError.
    """
    shutil.rmtree(to, ignore_errors=True)
    try:
        pointer = json.loads((place / POINTER).read())
        for name, digest in pointer["files"].items():
            content = (place / OBJECTS / digest).read()
            if hashlib.sha256(content).hexdigest() != digest or ".." in Path(name).parts or Path(name).is_absolute():
                raise ValueError(f"{name} is not as it was written")
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(content)
        return float(pointer["time"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        shutil.rmtree(to, ignore_errors=True)
        raise ConfigError(
            f"the copy of the study in {place} is damaged ({error}); go on where its run folder is, or begin another "
            "study by `--name`"
        ) from None


def _back_up(database: Path, copy: Path) -> None:
    """Copy a SQLite database that others may write to meanwhile. Raises sqlite3.Error."""
    end = time.monotonic() + LOCKED_S

    def give_up(status: int, remaining: int, total: int) -> None:
        """SQLite itself would wait for ever."""
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > end:
            raise sqlite3.OperationalError(f"{database} is locked by another process")

    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target, progress=give_up)
