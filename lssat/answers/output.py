"""Answers in files: a journal while they come, the table that was asked for when all are there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import Timeout

from lssat.errors import UserError
from lssat.files import locked, make_folder, write_whole

Row = dict[str, Any]
FORM = 2  # of a journal's lines; 1: rows alone, told apart by the names that were typed


class Journal:
    """Rows beside the output file, a line each with the key of its file, so that a killed process goes on where it was.
    `question`: what rows depend on beside their file; those of another question are refused.
    """

    def __init__(self, out: Path, question: Mapping[str, Any]) -> None:
        self.out = out
        self.path = out.with_name(f".{out.name}.partial")
        self._key = hashlib.sha256(json.dumps([FORM, question], sort_keys=True).encode()).hexdigest()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other process writes this output. Raises UserError where one does, or nothing can be written."""
        with ExitStack() as stack:
            try:
                make_folder(self.path.parent)
                stack.enter_context(locked(self.path.with_suffix(".lock"), 0))
            except Timeout:
                raise UserError(
                    f"another process writes `{self.out}`; wait for it, stop it, or name another `--out`"
                ) from None
            except OSError as error:
                raise UserError(f"`{self.path}` cannot be written ({error.strerror}); name another `--out`") from None
            yield

    def rows(self) -> dict[str, Row]:
        """Those that are there whole, by the keys of their files. Raises UserError."""
        whole, newline, torn = (self.path.read_bytes() if self.path.exists() else b"").rpartition(b"\n")
        if not newline:
            with disk_may_be_full(self.path):
                write_whole(self.path, lambda to: to.write_text(json.dumps({"question": self._key}) + "\n"))
            return {}
        if torn:
            os.truncate(self.path, len(whole) + 1)
        first, *rows = [json.loads(line) for line in whole.splitlines()]
        if first.get("question") != self._key:
            raise UserError(
                f"`{self.path}` was begun with another winner or other options; delete it to begin anew, or go on with "
                "those"
            )
        return {row["file"]: row["row"] for row in rows}

    def add(self, rows: Mapping[str, Row]) -> None:
        """Are there for whoever goes on when this process is killed; a power cut may take the last ones."""
        with disk_may_be_full(self.path), self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"file": key, "row": row}) + "\n" for key, row in rows.items())

    def delete(self) -> None:
        """When the output is whole."""
        self.path.unlink()


def key_of(path: Path) -> str:
    """What a row depends on of its file: which one it is, links and the working directory followed, and its content as
    far as size and time of change tell.
    """
    real = os.path.realpath(path)
    try:
        known = os.stat(real)
    except (OSError, ValueError):  # ValueError: a null byte
        return json.dumps([real])
    return json.dumps([real, known.st_size, known.st_mtime_ns])


def write_table(out: Path, rows: Sequence[Row]) -> None:
    """By the ending of the file, which appears whole. Raises UserError."""
    with disk_may_be_full(out):
        if out.suffix == ".parquet":
            write_whole(out, lambda temporary: pq.write_table(pa.Table.from_pylist(list(rows)), temporary))
        else:
            write_whole(out, lambda temporary: _write_text(temporary, out.suffix, rows))


@contextmanager
def disk_may_be_full(path: Path) -> Iterator[None]:
    """What the system does not let be written, as a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"`{path}` cannot be written ({error.strerror or error}); make room, and the same command goes on"
        ) from None


def write_csv(file: TextIO, rows: Sequence[Row]) -> None:
    """An embedding is a JSON list in its cell."""
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(cell) if isinstance(cell, list) else cell for key, cell in row.items()} for row in rows
    )


def _write_text(path: Path, suffix: str, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        if suffix == ".csv":
            write_csv(file, rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
