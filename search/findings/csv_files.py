"""Tables as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lssat.files import write_text
from lssat.text.visible import visible


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line for each row, which maps columns to cells."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: visible(cell) if isinstance(cell, str) else cell for key, cell in row.items()})
    write_text(path, text.getvalue())
