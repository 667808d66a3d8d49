"""A run folder for one process alone: its name, its lock, and what becomes of an older study of that name."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lssat.command import signals_wait
from lssat.data.sources.source import short_names
from lssat.errors import ConfigError, UserError
from lssat.files import free, make_folder, temporary_of
from lssat.settings.data import DataConfig
from search.record.folder import RunFolder
from search.record.names import OWNER

MAX_NAME = 80  # characters of a name that is put together from others
LOOKS_S = 1.0
"""Longer than a look at a lock (`is_locked`) takes, which holds it for that moment."""
MAX_BYTES = 190  # a file system takes 255; Ray adds stage, trial and a number of its own


def folder_name(asked: str | None, space: Path, data: DataConfig) -> str:
    """The name that was asked for, or one of space, data and task.

    Raises ConfigError where it is no plain folder name.
    """
    if asked is None:
        source = "" if data.source == "synthetic" else f"-{'+'.join(short_names(data.sources))}"
        name = f"{space.stem}{source}-{data.task.replace(',', '+')}"
        if len(name) <= MAX_NAME:
            return name
        return f"{name[: MAX_NAME - 10]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    if asked != Path(asked).name or asked.startswith(".") or not asked.isprintable() or not asked:
        raise ConfigError(f"`--name` must be a plain folder name of printable characters, but got {asked!r}")
    if len(os.fsencode(asked)) > MAX_BYTES:
        raise ConfigError(
            f"`--name` must have at most {MAX_BYTES} bytes, but got {len(os.fsencode(asked))}; shorten it"
        )
    return asked


@contextmanager
def claimed(folder: RunFolder, *, resume: bool, overwrite: bool) -> Iterator[bool]:
    """The run folder, made where it is new, for this process alone; yields whether there is a study in it to go on
    with.

    With `resume` a study is gone on with, or else begun. An older study that is to be replaced is put aside until the
    new one has begun; one that never begins, its input being bad for instance, leaves everything as it was, but for its
    log where nobody was told what was wrong. What a kill left of a study that had not begun is begun anew. Nothing is
    ever deleted but what this module knows to be of a study that has not begun. Raises ConfigError.
    """
    with locked(folder):
        _bring_back(folder)
        replaced = _put_aside(folder) if overwrite and folder.has_begun else None
        if folder.has_begun and not resume:
            raise ConfigError(
                f"{folder.path} exists; go on with it (`--resume`), replace it (`--overwrite`), or choose another "
                "`--name`"
            )
        if not folder.has_begun:
            _begin(folder)
        keeps_log = True
        try:
            yield folder.has_begun
        except UserError:
            keeps_log = False
            raise
        finally:
            with signals_wait():
                _settle(folder, replaced, keeps_log)


def _settle(folder: RunFolder, replaced: Path | None, keeps_log: bool) -> None:
    """At the end: what was put aside is deleted, or comes back where the new study has not begun."""
    if folder.has_begun:
        folder.beginning.unlink(missing_ok=True)
        if replaced:
            shutil.rmtree(replaced, ignore_errors=True)
        return
    _withdraw(folder, keeps_log=keeps_log and replaced is None)
    if replaced:
        replaced.rename(folder.path)


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Refuse a folder that another process works on. The system frees the lock when this process ends, however it
    ends.
    """
    lock = FileLock(_lock_of(folder), timeout=LOOKS_S)
    try:
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process runs the study in {folder.path}; wait for it, stop it, or choose another `--name`"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"nothing can be written in {folder.path.parent}: {error.strerror or error}; choose another `--results`"
        ) from None
    try:
        yield
    finally:
        free(lock)


def is_locked(folder: RunFolder) -> bool:
    """Whether a process works on it now. A lock that nobody holds was left by a kill."""
    try:
        file = os.open(_lock_of(folder), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _lock_of(folder: RunFolder) -> Path:
    return folder.path.with_name(f".{folder.name}.lock")


def _begin(folder: RunFolder) -> None:
    """Make a new run folder, or take up one that has not begun. Raises ConfigError where there is anything else."""
    ours = {path.name for path in _before_it_begins(folder)} if folder.beginning.exists() else set()
    others = [item.name for item in folder.path.iterdir() if item.name not in ours] if folder.path.exists() else []
    if others:
        raise ConfigError(
            f"{folder.path} is no run folder of this project: it holds `{others[0]}`; delete it yourself, or choose "
            "another `--name`"
        )
    if folder.path.exists():
        _withdraw(folder, keeps_log=False)
    make_folder(folder.path)
    folder.beginning.touch()


def replace_unbegun(folder: RunFolder, made: Path) -> None:
    """Put a folder in the place of one that has not begun, or is not there. Raises ConfigError where there is anything
    else.
    """
    if folder.path.exists():
        _begin(folder)
        _withdraw(folder, keeps_log=False)
    made.rename(folder.path)


def _before_it_begins(folder: RunFolder) -> list[Path]:
    """The files of a study that has not begun."""
    written_whole = [folder.manifest, folder.path / OWNER]
    return [folder.log, folder.beginning, *written_whole, *(temporary_of(path) for path in written_whole)]


def _withdraw(folder: RunFolder, keeps_log: bool) -> None:
    """Delete the files of a study that has not begun, and its folder where nothing else is in it."""
    for path in _before_it_begins(folder):
        if not (keeps_log and path in (folder.log, folder.beginning)):
            path.unlink(missing_ok=True)
    if not any(folder.path.iterdir()):
        folder.path.rmdir()


def _put_aside(folder: RunFolder) -> Path:
    if not folder.manifest.exists():
        raise ConfigError(
            f"{folder.path} is no run folder of this project, so it is not overwritten; delete it yourself, or choose "
            "another `--name`"
        )
    replaced = _aside(folder)
    folder.path.rename(replaced)
    return replaced


def _bring_back(folder: RunFolder) -> None:
    """After a kill: a study that was put aside comes back, unless the new one had begun."""
    replaced = _aside(folder)
    if replaced.exists() and folder.has_begun:
        shutil.rmtree(replaced)
    elif replaced.exists():
        if folder.path.exists():
            _withdraw(folder, keeps_log=False)
        replaced.rename(folder.path)


def _aside(folder: RunFolder) -> Path:
    """Where an older study waits until the new one has begun."""
    return folder.path.with_name(f".{folder.name}.replaced")
