"""The images that a table holds: bytes in Parquet files, or the numbers of pixels in a CSV."""

from __future__ import annotations

import io
from collections.abc import Container, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.images import UnusableImage
from lssat.data.sources.listing import Listing
from lssat.data.sources.tables import damaged_table

BATCH_ROWS = 256
SIDE = 48  # of the images whose pixels are in text: those of FER2013
BLOCK_BYTES = 8 << 20  # of a CSV in memory
Stored = bytes | UnusableImage | None
"""An image file, or why there is none."""


def tables_of(listing: Listing) -> list[Path]:
    """The files that hold the images, in the order of their rows."""
    names = listing.info.options.get("tables")
    return [listing.path / name for name in names] if names else [listing.path]


def stored_images(listing: Listing, wanted: Container[int]) -> Iterator[tuple[int, Stored]]:
    """The images in these rows of all tables, with the row, one batch in memory at a time. Raises ConfigError."""
    column, start = listing.info.options["image_column"], 0
    pixels = listing.info.options["images"] == "pixels"
    for path in tables_of(listing):
        try:
            for cells in _pixel_cells(path, column) if pixels else _image_cells(path, column):
                for row, cell in enumerate(cells, start):
                    if row in wanted:
                        yield row, drawn(cell.as_py()) if pixels else cell.as_py()
                start += len(cells)
        except (OSError, pa.ArrowException) as error:
            raise damaged_table(path, error) from None


def bytes_column(path: Path, column: str) -> str:
    """What to read of a Parquet file to have the bytes: of an image as Hugging Face keeps it not its path."""
    return f"{column}.bytes" if pa.types.is_struct(pq.read_schema(path).field(column).type) else column


def bytes_in(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The bytes of images that were read by `bytes_column`."""
    return pc.struct_field(cells, "bytes") if pa.types.is_struct(cells.type) else cells


def drawn(text: str | None) -> Stored:
    """The PNG of grey pixels that are written as numbers, row by row."""
    try:
        values = bytes(map(int, (text or "").split()))
    except ValueError:
        return UnusableImage("pixels are not whole numbers from 0 to 255")
    if len(values) != SIDE * SIDE:
        return UnusableImage(f"{len(values)} pixels instead of {SIDE} x {SIDE}")
    buffer = io.BytesIO()
    Image.frombytes("L", (SIDE, SIDE), values).save(buffer, "PNG")
    return buffer.getvalue()


def _image_cells(path: Path, column: str) -> Iterator[pa.Array]:
    for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=[bytes_column(path, column)]):
        yield bytes_in(batch.column(0))


def _pixel_cells(path: Path, column: str) -> Iterator[pa.Array]:
    read = pacsv.ReadOptions(block_size=BLOCK_BYTES)
    convert = pacsv.ConvertOptions(include_columns=[column], column_types={column: pa.string()})
    for batch in pacsv.open_csv(path, read, convert_options=convert):
        yield batch.column(0)
