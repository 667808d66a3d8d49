"""Files of a URL that are read again and again, on a disk of this machine: once per node, within a budget."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from lssat.files import locked
from lssat.storage.place import Place
from lssat.storage.working import make_private

SHARE = 0.25
"""Of what the disk of temporary files has free, staged files counted, that staged files may take."""


def staged(place: Place, budget: int | None = None, folder: Path | None = None) -> BinaryIO:
    """A file of a place, opened: itself on this machine, else a copy on a disk here, fetched once for all processes.

    Copies that were used longest ago make room for it. `budget`: their bytes in all; by default SHARE of what is free.
    Whoever has opened a copy reads on when it is deleted. Raises FileNotFoundError, StorageLost, OSError.
    """
    if place.local:
        return place.local.open("rb")
    folder = folder or Path(tempfile.gettempdir()) / f"lssat-staged-{os.getuid()}"
    make_private(folder)
    copy = folder / hashlib.sha256(str(place).encode()).hexdigest()
    with locked(folder / ".lock"):
        if not copy.exists():
            place.fetch(copy)
            _make_room(folder, copy, budget)
        os.utime(copy)  # when it was used
        return copy.open("rb")


def send_missing(folder: Path, place: Place) -> None:
    """Send the files of a folder that a place does not have in their size: files that never change under their name.
    Raises StorageLost, OSError.
    """
    there = place.sizes()
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        if there.get(file.name) != file.stat().st_size:
            (place / file.name).send(file)


def _make_room(folder: Path, newest: Path, budget: int | None) -> None:
    """Delete other copies, those first that were used longest ago, until all are within the budget."""
    copies = sorted(
        (file for file in folder.iterdir() if not file.name.startswith(".") and file != newest),
        key=lambda file: file.stat().st_mtime,
    )
    total = newest.stat().st_size + sum(file.stat().st_size for file in copies)
    if budget is None:
        budget = int(SHARE * (shutil.disk_usage(folder).free + total))
    for file in copies:
        if total <= budget:
            return
        total -= file.stat().st_size
        with suppress(FileNotFoundError):
            file.unlink()
