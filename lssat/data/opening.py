"""Entries of a listing -> rows: files are read, decoded to prove that they can be, and faces are cut out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.cropping import SIZE, Picture, square_crop
from lssat.data.detection import largest_face
from lssat.data.images import UnusableImage, check_image, decoded, in_threads, read_inside, resolve_inside
from lssat.data.listing import Box, Listing, Record
from lssat.data.reading import damaged
from lssat.data.table import Reject, Row

BATCH_ROWS = 256
QUALITY = 95  # of JPEG, for what is cut out


class Opened(NamedTuple):
    """What became of one entry: its rows (of a video, one per frame) or why it is left out; and its frames that showed no face."""

    rows: tuple[Row, ...]
    reject: Reject | None = None
    without_face: int = 0


class How(NamedTuple):
    """How the entries of a listing are opened. `frames`: of a video. `own`: images are kept as they are."""

    root: Path
    media: str
    crop: bool
    own: bool
    frames: int


def how(listing: Listing) -> How:
    root = (listing.path if listing.path.is_dir() else listing.path.parent).resolve()
    options = listing.info.options
    return How(root, listing.media, listing.crop, "kind" not in options, int(options.get("frames", 1)))


def open_entry(way: How, entry: Record) -> Opened:
    """One image file or video of the listing."""
    try:
        if way.media == "videos":
            return _open_video(way, entry)
        image = read_inside(way.root, str(entry.name))
        return Opened((_row(entry, check_image(image) if way.own else _face(image, entry.box, way.crop)),))
    except UnusableImage as reason:
        return Opened((), Reject(entry.name, str(reason)))


def read_table(source: Listing) -> Iterator[Row | Reject]:
    """Every entry of a table that holds its images, in the table's order."""
    return in_threads(_usable, _stored_images(source))


def _open_video(way: How, entry: Record) -> Opened:
    from lssat.data.video import face_crops

    crops = face_crops(resolve_inside(way.root, str(entry.name)), way.frames, box=entry.box)
    return Opened(tuple(_row(entry, _encoded(picture)) for _, picture in crops.images), None, crops.without_face)


def _face(image: bytes, box: Box | None, crop: bool) -> bytes:
    """The face cut out by its box or, where there is none, by detection; else the central square, at most SIZE wide. As it is where it is that already."""
    opened = decoded(image)
    if not crop and opened.width == opened.height <= SIZE:
        return image
    picture = np.asarray(opened.convert("RGB"))
    if not crop:
        return _encoded(_central(picture))
    face = box or largest_face(picture)
    if face is None:
        raise UnusableImage("no face found")
    return _encoded(square_crop(picture, face))


def _central(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    side = min(height, width)
    box = Box((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    return square_crop(picture, box, scale=1.0, size=min(side, SIZE))


def _encoded(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _row(entry: Record, image: bytes) -> Row:
    return Row(image, entry.label, entry.identity, entry.split, entry.video, entry.columns)


def _usable(item: tuple[Record | Reject, bytes | None]) -> Row | Reject:
    entry, image = item
    if isinstance(entry, Reject):
        return entry
    try:
        return _row(entry, check_image(image))
    except UnusableImage as reason:
        return Reject(entry.name, str(reason))


def _stored_images(source: Listing) -> Iterator[tuple[Record | Reject, bytes | None]]:
    """Entries with the image bytes that the table holds for them, one batch of the table in memory at a time."""
    waiting = {entry.position if isinstance(entry, Record) else entry.row: entry for entry in source.entries}
    position = 0
    try:
        for batch in pq.ParquetFile(source.path).iter_batches(BATCH_ROWS, columns=[source.info.options["image_column"]]):
            for image in batch.column(0):
                if position in waiting:
                    yield waiting[position], image.as_py()
                position += 1
    except (OSError, pa.ArrowException) as error:
        raise damaged(source.path, error) from None
