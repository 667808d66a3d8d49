"""Files that are on disk, whole or not at all: a kill or a power cut leaves what was there before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock


def write_json(path: Path, data: Any) -> None:
    """Put `data` in the place of the file, if any; folders on the way are made."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Put `text` in the place of the file, if any; folders on the way are made.

    What is no text, in the name of a file for instance, is written as its escape.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes to the path it is given in the place of the file, if any; folders on the way are made.

    That path is a temporary one in the same folder; it is on disk before it takes the name of the file. Where that
    fails, the disk being full for instance, it is deleted.
    """
    make_folder(path.parent)
    temporary = temporary_of(path)
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def temporary_of(path: Path) -> Path:
    """What a file is called until it is whole; a kill leaves it behind."""
    return path.with_name(f".{path.name}.tmp")


def append_json_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to a file of JSON lines. Where the disk is full the file stays as it was."""
    rest = (json.dumps(entry) + "\n").encode()
    with path.open("ab", buffering=0) as file:  # a buffer would try again to write what failed, as the file is closed
        old_size = file.tell()
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(old_size)  # half a line would be joined to the next one
            raise
    if old_size == 0:
        sync(path.parent)


def stamps(paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever one of these files was written, and costs no reading: the time and the size of those there."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


@contextmanager
def locked(lock: Path, seconds: float = -1) -> Iterator[None]:
    """Inside, no other process is in a block of the same lock; one waits for it `seconds` at most, or however long it
    takes. The system frees it when this process ends, however it ends. Raises filelock.Timeout.
    """
    with FileLock(lock, timeout=seconds):
        try:
            yield
        finally:
            with suppress(OSError):  # whoever has opened it meanwhile sees that it is gone, and makes another
                lock.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and those on the way to it that are missing, each on disk before the next."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def free(lock: BaseFileLock) -> None:
    """Release a lock and leave no file behind: whoever has opened that meanwhile sees that it is no file any more, and
    makes another.
    """
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
