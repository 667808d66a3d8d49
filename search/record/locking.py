"""A run folder for one process alone: its name, its lock, and what becomes of an older study of that name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lssat.config import ConfigError, DataConfig
from lssat.data.sources.source import short_name
from lssat.files import make_folder
from search.record.folder import RunFolder

MAX_NAME = 80  # characters of a name that is put together from others


def folder_name(asked: str | None, space: Path, data: DataConfig) -> str:
    """The name that was asked for, or one of space, data and task.

    Raises ConfigError where it is no plain folder name.
    """
    if asked is None:
        source = "" if data.source == "synthetic" else f"-{short_name(data.source)}"
        name = f"{space.stem}{source}-{data.task.replace(',', '+')}"
        if len(name) <= MAX_NAME:
            return name
        return f"{name[: MAX_NAME - 10]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    if asked != Path(asked).name or asked.startswith("."):
        raise ConfigError(f"`--name` must be a plain folder name, but got {asked!r}")
    return asked


@contextmanager
def claimed(folder: RunFolder, *, resume: bool, overwrite: bool) -> Iterator[bool]:
    """The run folder, made where it is new, for this process alone; yields whether there is a study in it to go on
    with.

    An older study that is to be replaced is put aside until the new one has begun; one that never begins, its input
    being bad for instance, leaves everything as it was. What a kill left of a study that had not begun is begun anew.
    Raises ConfigError.
    """
    with _locked(folder):
        _bring_back(folder)
        replaced = _put_aside(folder) if overwrite and folder.has_begun else None
        if folder.has_begun and not resume:
            raise ConfigError(
                f"{folder.path} exists; go on with it (`--resume`), replace it (`--overwrite`), or choose another "
                "`--name`"
            )
        if resume and not folder.path.exists():
            raise ConfigError(f"there is no study to resume in {folder.path}; leave `--resume` out")
        if folder.path.exists() and not folder.has_begun:
            _clear(folder)
        make_folder(folder.path)
        try:
            yield folder.has_begun
        finally:
            if not folder.has_begun:
                shutil.rmtree(folder.path)
            if replaced and folder.has_begun:
                shutil.rmtree(replaced, ignore_errors=True)
            elif replaced:
                replaced.rename(folder.path)


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    """Refuse a folder that another process works on. The system frees the lock when this process ends, however it
    ends.
    """
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder.path.with_name(f".{folder.name}.lock"), timeout=0)
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process runs the study in {folder.path}; wait for it, stop it, or choose another `--name`"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _clear(folder: RunFolder) -> None:
    """Delete what a study wrote before it began. Raises ConfigError where there is anything else."""
    manifest = folder.manifest
    ours = {folder.log.name, manifest.name, f".{manifest.name}.tmp"}
    others = [item.name for item in folder.path.iterdir() if item.name not in ours]
    if others:
        raise ConfigError(
            f"{folder.path} is no run folder of this project: it holds `{others[0]}`; delete it yourself, or choose "
            "another `--name`"
        )
    shutil.rmtree(folder.path)


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
        shutil.rmtree(folder.path, ignore_errors=True)
        replaced.rename(folder.path)


def _aside(folder: RunFolder) -> Path:
    """Where an older study waits until the new one has begun."""
    return folder.path.with_name(f".{folder.name}.replaced")
