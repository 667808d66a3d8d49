"""Entries of a listing -> rows: files are read, decoded to prove that they can be, and faces are cut out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.images import UnusableImage, decoded, quiet, read_inside, resolve_inside
from lssat.data.parallel import chunks, in_processes
from lssat.data.prepare.cropping import SIZE, square_crop
from lssat.data.prepared.hashing import thumbnail_of
from lssat.data.prepared.table import Reject, Row
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.reading import damaged

BATCH_ROWS = 256
CHUNK = 64  # images of a table that a process looks at in one go
QUALITY = 95  # of JPEG, for what is cut out


class Opened(NamedTuple):
    """What became of one entry: its rows (of a video, one per frame) or why it is left out; and its frames that showed
    no face.
    """

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
    """One image file or video of the listing; to be called inside `quiet`."""
    try:
        if way.media == "videos":
            return _open_video(way, entry)
        image = read_inside(way.root, str(entry.name))
        return Opened((_as_it_is(entry, image) if way.own else _face(entry, image, way.crop),))
    except UnusableImage as reason:
        return Opened((), Reject(entry.name, str(reason)))


def read_table(source: Listing) -> Iterator[Row | Reject]:
    """Every entry of a table that holds its images, in the table's order."""
    kept, sent = tee(chunks(_stored_images(source), CHUNK))  # images need not come back
    found = in_processes(_looked_at, ([image for _, image in some] for some in sent))
    for some, outcomes in zip(kept, found, strict=True):
        for (entry, image), outcome in zip(some, outcomes, strict=True):
            if isinstance(entry, Reject):
                yield entry
            elif isinstance(outcome, str):
                yield Reject(entry.name, outcome)
            else:
                yield _row(entry, image or b"", outcome)


def _looked_at(images: list[bytes | None]) -> list[bytes | str]:
    """The thumbnail of each image, or why it cannot be used."""
    with quiet():
        return [_thumbnail_or_reason(image) for image in images]


def _thumbnail_or_reason(image: bytes | None) -> bytes | str:
    try:
        return thumbnail_of(decoded(image))
    except UnusableImage as reason:
        return str(reason)


def _open_video(way: How, entry: Record) -> Opened:
    from lssat.data.prepare.video import face_crops

    crops = face_crops(resolve_inside(way.root, str(entry.name)), way.frames, entry.box)
    return Opened(
        tuple(_encoded(entry, Image.fromarray(picture)) for picture in crops.images), None, crops.without_face
    )


def _as_it_is(entry: Record, image: bytes) -> Row:
    return _row(entry, image, thumbnail_of(decoded(image)))


def _face(entry: Record, image: bytes, crop: bool) -> Row:
    """The face cut out by its box or, where there is none, by detection; else the central square, at most SIZE wide. As
    it is where it is that already.
    """
    opened = decoded(image)
    if not crop:
        return (
            _row(entry, image, thumbnail_of(opened))
            if opened.width == opened.height <= SIZE
            else _encoded(entry, _central(opened))
        )
    from lssat.data.prepare.detection import (
        largest_face,  # its libraries take longer to import than hundreds of images to open
    )

    picture = np.asarray(opened.convert("RGB"))
    face = entry.box or largest_face(picture)
    if face is None:
        raise UnusableImage("no face found")
    return _encoded(entry, Image.fromarray(square_crop(picture, face)))


def _central(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    square = square if square.mode == "RGB" else square.convert("RGB")
    return square if side <= SIZE else square.resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _encoded(entry: Record, picture: Image.Image) -> Row:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return _row(entry, buffer.getvalue(), thumbnail_of(picture))


def _row(entry: Record, image: bytes, thumbnail: bytes) -> Row:
    return Row(image, entry.label, entry.identity, entry.split, entry.video, entry.columns, entry.source, thumbnail)


def _stored_images(source: Listing) -> Iterator[tuple[Record | Reject, bytes | None]]:
    """Entries with the image bytes that the table holds for them, one batch of the table in memory at a time."""
    waiting = {entry.position if isinstance(entry, Record) else entry.row: entry for entry in source.entries}
    position = 0
    try:
        for batch in pq.ParquetFile(source.path).iter_batches(
            BATCH_ROWS, columns=[source.info.options["image_column"]]
        ):
            for image in batch.column(0):
                if position in waiting:
                    yield waiting[position], image.as_py()
                position += 1
    except (OSError, pa.ArrowException) as error:
        raise damaged(source.path, error) from None
