"""The run folder: its name, whose it is, and what becomes of an older one of that name."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lssat.config import ConfigError, DataConfig
from lssat.data.sources.source import short_name

BEFORE = ("log.txt", "manifest.json", ".manifest.json.tmp")
"""What may be in a run folder before its study has begun."""


def folder_name(asked: str | None, space: Path, data: DataConfig) -> str:
    """The name that was asked for, or one of space, data and task. Raises ConfigError where it is no plain folder name."""
    if asked is None:
        source = "" if data.source == "synthetic" else f"-{short_name(data.source)}"
        name = f"{space.stem}{source}-{data.task.replace(',', '+')}"
        return name if len(name) <= 80 else f"{name[:70]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    if asked != Path(asked).name or asked.startswith("."):
        raise ConfigError(f"`--name` must be a plain folder name, but got {asked!r}")
    return asked


def has_begun(folder: Path) -> bool:
    """Whether there is a study in the folder that can be gone on with."""
    return (folder / "study.db").exists()


@contextmanager
def claimed(folder: Path, *, resume: bool, overwrite: bool) -> Iterator[bool]:
    """The run folder, made where it is new, for this process alone; yields whether there is a study in it to go on
    with.

    An older one that is to be replaced is put aside until the new study has begun; one that never begins, its input
    being bad for instance, leaves everything as it was. What a kill left of a study that had not begun is begun anew.
    Raises ConfigError.
    """
    with _held(folder):
        replaced = _put_aside(folder) if overwrite and has_begun(folder) else None
        if has_begun(folder) and not resume:
            raise ConfigError(
                f"{folder} exists; go on with it (`--resume`), replace it (`--overwrite`), or choose another `--name`"
            )
        if resume and not folder.exists():
            raise ConfigError(f"there is no study to resume in {folder}; leave `--resume` out")
        if folder.exists() and not has_begun(folder):
            _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield has_begun(folder)
        finally:
            if not has_begun(folder):
                shutil.rmtree(folder)
            if replaced and has_begun(folder):
                shutil.rmtree(replaced, ignore_errors=True)
            elif replaced:
                replaced.rename(folder)


def clear_storage(storage: Path, folder: Path) -> None:
    """Delete the checkpoints that an older study of the run folder left on a storage of its own, and mark that as the
    folder's. Raises ConfigError.
    """
    if storage == folder:
        return
    mark, owner = storage / "run_folder.txt", f"{socket.gethostname()}:{folder}"
    if mark.exists() and mark.read_text().strip() != owner:
        raise ConfigError(
            f"{storage} holds the checkpoints of the study in {mark.read_text().strip()}; choose another `--name`, or "
            "delete them yourself"
        )
    for stage in ("trials", "finals"):
        shutil.rmtree(storage / stage, ignore_errors=True)
    mark.write_text(owner + "\n")


def _clear(folder: Path) -> None:
    """Delete what a study wrote before it began. Raises ConfigError where there is anything else."""
    strangers = [item.name for item in folder.iterdir() if item.name not in BEFORE]
    if strangers:
        raise ConfigError(
            f"{folder} is no run folder of this project: it holds `{strangers[0]}`; delete it yourself, or choose "
            "another `--name`"
        )
    shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process works on; the system lets go of it when this process ends, however it ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process runs the study in {folder}; wait for it, stop it, or choose another `--name`"
            ) from None
        yield


def _put_aside(folder: Path) -> Path:
    if not (folder / "manifest.json").exists():
        raise ConfigError(
            f"{folder} is no run folder of this project, so it is not overwritten; delete it yourself, or choose "
            "another `--name`"
        )
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    folder.rename(replaced)
    return replaced
