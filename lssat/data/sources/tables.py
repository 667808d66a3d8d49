"""CSV and Parquet files as columns of text. What is in an image column is not read here."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lssat.data.cells import named_all
from lssat.data.csv_form import IMAGE_COLUMNS, CsvForm, csv_form, other_encoding
from lssat.errors import ConfigError
from lssat.text.did_you_mean import listed

TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Table:
    """One CSV or Parquet file, or several Parquet files with the same columns, whose rows follow each other.

    path: what messages call it. image_columns: those that may hold the images, by which a CSV's delimiter is known.
    names_of: column -> what its numbers 0, 1, ... stand for, where the table says so.
    """

    path: Path
    files: tuple[Path, ...]
    image_columns: tuple[str, ...] = IMAGE_COLUMNS
    names_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, image_columns: tuple[str, ...] = IMAGE_COLUMNS) -> Table:
        """The table in one file."""
        return cls(path, (path,), image_columns)

    @property
    def is_parquet(self) -> bool:
        """By its ending."""
        return self.files[0].suffix.lower() == ".parquet"

    @property
    def columns(self) -> list[str]:
        """The names of the columns. Raises ConfigError."""
        path = self.files[0]
        try:
            columns = list(pq.read_schema(path).names) if self.is_parquet else self._form().columns
        except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
            raise damaged_table(path, error) from None
        if not columns:
            raise ConfigError(f"`data.source`: the table `{path}` is empty")
        doubled = sorted({name for name in columns if name and columns.count(name) > 1})
        if doubled:
            raise ConfigError(f"`data.source`: `{path.name}` has several columns called {listed(doubled)}; rename them")
        return columns

    def kind(self, name: str) -> pa.DataType:
        """What a column of Parquet holds; those of a CSV hold text."""
        return pq.read_schema(self.files[0]).field(name).type if self.is_parquet else pa.string()

    def is_single(self, name: str) -> bool:
        """Whether a cell of the column holds one text, number or truth."""
        return _is_single(self.kind(name))

    def texts(self, name: str) -> list[str]:
        """The cells of a column as `cells.named` has them; "" where empty. Raises ConfigError."""
        texts = named_all(self.column(name).to_pylist())
        return texts if name not in self.names_of else _called(texts, name, self)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column; those of a CSV as text, so that the identity `007` stays what it is. Raises ConfigError."""
        path = self.files[0]
        try:
            if self.is_parquet:
                if not _is_single(kind := self.kind(name)):
                    raise ConfigError(
                        f"column `{name}` of `{self.path.name}` must hold whole numbers, words or true/false, but "
                        f"holds {kind}; rename it if it is not meant"
                    )
                parts = []
                for path in self.files:
                    parts += pq.ParquetFile(path).read(columns=[name])[name].chunks
                return pa.chunked_array(parts, kind)
            convert = pacsv.ConvertOptions(include_columns=[name], column_types={name: pa.string()})
            form = self._form()
            parse = pacsv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True)
            read = pacsv.ReadOptions(encoding=form.encoding)
            return pacsv.read_csv(path, read, parse, convert)[name]
        except (OSError, pa.ArrowException) as error:
            raise damaged_table(path, error) from None

    def _form(self) -> CsvForm:
        return csv_form(self.files[0], self.image_columns)


def damaged_table(path: Path, error: Exception) -> ConfigError:
    """What to say of a table that cannot be read."""
    if path.suffix.lower() == ".csv" and ("utf-8" in str(error) or "UTF8" in str(error)):
        return other_encoding(path)
    reason = str(error).strip().split("\n")[0][:200]
    return ConfigError(
        f"`data.source`: the table `{path}` is damaged or not what its ending says ({reason}); write it again"
    )


def _is_single(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _called(texts: list[str], name: str, table: Table) -> list[str]:
    """What numbers stand for; a negative one is how Hugging Face writes that there is none. Raises ConfigError."""
    names = table.names_of[name]
    called = {"": ""}
    for text in dict.fromkeys(filter(None, texts)):
        number = int(text) if text.lstrip("-").isdigit() else len(names)
        if number >= len(names):
            raise ConfigError(
                f"`data.source`: column `{name}` of `{table.path}` holds `{text}`, but its schema names the classes 0 "
                f"to {len(names) - 1}; write the table again"
            )
        called[text] = names[number] if number >= 0 else ""
    return [called[text] for text in texts]
