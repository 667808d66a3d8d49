"""How the text of a CSV table is written: its encoding, and what stands between its cells."""

from __future__ import annotations

import codecs
import csv
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lssat.errors import ConfigError

MARKS = ",;\t|"
"""What may stand between cells, the commonest first."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
IMAGE_COLUMNS = ("image", "path")


class CsvForm(NamedTuple):
    """`encoding`: Python's name of it; `delimiter`: between cells; `columns`: the names in the first line."""

    encoding: str
    delimiter: str
    columns: list[str]


def csv_form(path: Path, image_columns: Sequence[str] = IMAGE_COLUMNS) -> CsvForm:
    """Raises OSError, UnicodeDecodeError or csv.Error for a first line that cannot be read.

    Cells are separated by the mark that brings the column of images to light or, where none does, most columns.
    """
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in UTF_16 else "utf-8-sig"
    forms = []
    for mark in MARKS:
        with path.open(encoding=encoding, newline="") as file:
            forms.append(CsvForm(encoding, mark, next(csv.reader(file, delimiter=mark), [])))
    with_images = [form for form in forms if set(image_columns) & set(form.columns)]
    return with_images[0] if with_images else max(forms, key=lambda form: len(form.columns))


def other_encoding(path: Path) -> ConfigError:
    """What to say of a table whose text is not UTF-8."""
    converted = shlex.quote(f"{path.stem}-utf8.csv")
    return ConfigError(
        f"`data.source`: the text of `{path}` is not UTF-8, but most likely Windows-1252 (Latin-1); convert it by "
        f"`iconv -f WINDOWS-1252 -t UTF-8 {shlex.quote(path.name)} > {converted}`, or save it as `CSV UTF-8`"
    )
