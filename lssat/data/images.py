"""Reading files from a data folder, and none from outside it."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path

ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[/\\]")  # also as Windows has it


class UnusableImage(Exception):
    """Why an image is left out."""


def read_inside(root: Path, name: str) -> bytes:
    """The file `name` below `root` (resolved). Raises UnusableImage, also where the path leads out of `root`."""
    try:
        return resolve_inside(root, name).read_bytes()
    except OSError as error:
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def resolve_inside(root: Path, name: str) -> Path:
    """Where the file `name` below `root` (resolved) is.

    Raises UnusableImage, also where the path or a link leads out of `root`.
    """
    check_name(name)
    folder, _, last = name.rpartition("/")
    try:
        path = _real_folder(root, folder) / last
        if path.is_symlink():
            path = path.resolve()
        if not path.is_relative_to(root):
            raise UnusableImage("link leaves the data folder")
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnusableImage("not a regular file")
        return path
    except (FileNotFoundError, NotADirectoryError):
        raise UnusableImage("file not found") from None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle; ValueError: a null byte
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def check_name(name: str) -> None:
    """Refuse a name that leads out of its folder, or none at all. Raises UnusableImage."""
    if not name:
        raise UnusableImage("no image path")
    if ABSOLUTE.match(name) or ".." in name.split("/"):
        raise UnusableImage("path leaves the data folder")


@lru_cache(maxsize=1024)
def _real_folder(root: Path, folder: str) -> Path:
    """The folder with links on the way resolved: once for all its files, since this takes longer than to read one."""
    return (root / folder).resolve()
