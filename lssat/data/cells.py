"""What a cell of a table says, whatever the format: the same table as CSV and as Parquet holds the same texts.

Words stay words: `NA`, `null` and `nan` may be a region, a class or a person, so that only an empty cell is empty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
TRUTH = {"true": "true", "false": "false"}


def text_of(value: Any) -> str:
    """A cell as text without blanks around it; "" where it is empty, or not a number in a column of fractions."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def named(text: str) -> str:
    """What the text of a cell names: whole numbers without `.0` (pandas writes 1 as 1.0 where a cell of its column is
    empty), true and false in small letters (pandas writes True). All else, such as `010`, is what it is.
    """
    if whole := WHOLE.fullmatch(text):
        return str(int(whole[1]))
    return TRUTH.get(text.lower(), text)


def named_all(values: Iterable[Any]) -> list[str]:
    """`named` of each cell."""
    known: dict[Any, str] = {}
    return [
        known[key] if (key := (type(value), value)) in known else known.setdefault(key, named(text_of(value)))
        for value in values
    ]


def fraction(texts: Iterable[str]) -> str | None:
    """The first that is no whole number in a column of numbers, with which nobody names classes."""
    first = None
    for text in filter(None, dict.fromkeys(texts)):
        try:
            number = float(text)
        except ValueError:
            return None
        if first is None and not (math.isfinite(number) and number.is_integer()):
            first = text
    return first


def texts_before(values: Sequence[Any], from_csv: bool) -> list[str]:
    """The cells as older versions read them. Only whether that was the same is of interest: see `DatasetInfo`."""
    if not from_csv:
        return ["" if value is None else str(value).strip() for value in values]
    empty = set(pacsv.ConvertOptions().null_values)
    return ["" if value in empty else value.strip() for value in values]


def labels_before(values: Sequence[Any], from_csv: bool) -> list[str]:
    """The labels as older versions read them: a column of truths or numbers became numbers."""
    if from_csv:
        empty = set(pacsv.ConvertOptions().null_values)
        column = pa.array([None if value in empty else value for value in values], pa.string())
        for kind in (pa.int64(), pa.float64(), pa.bool_()):
            try:
                column = column.cast(kind)
                break
            except pa.ArrowInvalid:
                continue
        values = column.to_pylist()
    return [_label_before(value) for value in values]


def _label_before(value: Any) -> str:
    text = text_of(value)
    is_number = isinstance(value, int | float) and text and math.isfinite(value)
    return str(int(value)) if is_number else text
