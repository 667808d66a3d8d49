"""Answers in files: a journal while they come, the table that was asked for when all are there."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from lssat.errors import UserError
from lssat.files import append_json_line, write_whole

Row = dict[str, Any]


class Journal:
    """Rows beside the output file, a line each, so that a killed process goes on where it was. `question`: what rows
    depend on beside their file; those of another question are refused.
    """

    def __init__(self, out: Path, question: Mapping[str, Any]) -> None:
        self.path = out.with_name(f".{out.name}.partial")
        self._key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()

    def rows(self) -> list[Row]:
        """Those that are there whole. Raises UserError."""
        try:
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                append_json_line(self.path, {"question": self._key})
                return []
        except OSError as error:
            raise UserError(f"`{self.path}` cannot be written ({error.strerror}); name another `--out`") from None
        whole, _, torn = self.path.read_bytes().rpartition(b"\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)
        first, *rows = [json.loads(line) for line in whole.splitlines()] or [{}]
        if first.get("question") != self._key:
            raise UserError(
                f"`{self.path}` was begun with another winner or other options; delete it to begin anew, or go on with "
                "those"
            )
        return rows

    def add(self, rows: Sequence[Row]) -> None:
        """Are there for whoever goes on when this process is killed; a power cut may take the last ones."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def delete(self) -> None:
        """When the output is whole."""
        self.path.unlink()


def write_table(out: Path, rows: Sequence[Row]) -> None:
    """By the ending of the file, which appears whole."""
    if out.suffix == ".parquet":
        write_whole(out, lambda temporary: pq.write_table(pa.Table.from_pylist(list(rows)), temporary))
        return
    write_whole(out, lambda temporary: _write_text(temporary, out.suffix, rows))


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
