"""Tables of dataclasses as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lssat.files import write_text


def write_csv(path: Path, kind: type[Any], rows: Sequence[Any]) -> None:
    """A line for each row; the columns are the fields of the rows' dataclass `kind`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(path, text.getvalue())
