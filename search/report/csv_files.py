"""Tables of dataclasses as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lssat.files import write_text
from lssat.visible import visible


def write_csv(path: Path, kind: type[Any], rows: Sequence[Any]) -> None:
    """A line for each row; the columns are the fields of the rows' dataclass `kind`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)])
    writer.writeheader()
    for row in rows:
        writer.writerow({key: visible(cell) if isinstance(cell, str) else cell for key, cell in asdict(row).items()})
    write_text(path, text.getvalue())
