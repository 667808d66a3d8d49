"""The folder of this machine in which a process works on files that are kept elsewhere; and what dead ones left."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lssat.storage.place import Place

PREFIX = f"lssat-work-{platform.node()}-"
"""Processes of other machines, which may share the folder for temporary files, are not known here."""


@contextmanager
def working_folder(place: Place) -> Iterator[Path]:
    """The folder in which files of a place are read and written: itself where this machine mounts it, else one of this
    process alone, in the folder for temporary files, that is gone afterwards. Raises OSError.
    """
    if place.local:
        yield place.local
        return
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_private(folder: Path) -> None:
    """Make a folder in the one for temporary files, that nobody else can write to. Raises PermissionError where
    somebody else has made it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(errno.EACCES, "it is somebody else's", str(folder))


def _sweep(parent: Path) -> None:
    """Delete what processes of this user left that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        pid = re.match(rf"{re.escape(PREFIX)}(\d+)-", folder.name)
        if pid and not _lives(int(pid[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
