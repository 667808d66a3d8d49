"""Entries of a listing -> rows: files are read, decoded to prove that they can be, and faces are cut out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from lssat.data.images import UnusableImage, read_inside, resolve_inside
from lssat.data.parallel import chunks, in_processes
from lssat.data.pictures import Opened, open_picture, refuse_bombs
from lssat.data.prepare.cropping import SIZE, level_crop, square_crop
from lssat.data.prepare.detection import largest_face
from lssat.data.prepared.hashing import thumbnail_of
from lssat.data.prepared.table import Reject, Row
from lssat.data.sources.listing import Listing, Media, Record
from lssat.data.sources.stored import Stored, stored_images
from lssat.text.visible import as_text

CHUNK = 64  # images of a table that a process looks at in one go
QUALITY = 95  # of JPEG, for what is cut out


class EntryResult(NamedTuple):
    """What became of one entry: its rows (of a video, one per frame), or why it is left out.

    `without_face`: its frames that showed no face.
    """

    rows: tuple[Row, ...]
    reject: Reject | None = None
    without_face: int = 0


class OpenOptions(NamedTuple):
    """What opening an entry depends on.

    `crop`: faces are cut out. `keep`: images stay as they are, whatever their size. `num_frames`: to take of a video.
    `align`: faces that are found are turned upright.
    """

    root: Path
    media: Media
    crop: bool
    keep: bool
    num_frames: int
    align: bool = False


def open_options(listing: Listing) -> OpenOptions:
    """How the entries of a listing are opened: the images of own data, which have no `kind`, are kept."""
    root = (listing.path if listing.path.is_dir() else listing.path.parent).resolve()
    options = listing.info.options
    keep, frames, align = "kind" not in options, int(options.get("frames", 1)), bool(options.get("align"))
    return OpenOptions(root, listing.media, listing.crop, keep, frames, align)


def open_entry(options: OpenOptions, entry: Record) -> EntryResult:
    """Open one image file or video of the listing; to be called inside `refuse_bombs`."""
    try:
        if options.media == "videos":
            return _open_video(options, entry)
        image = read_inside(options.root, str(entry.name))
        return EntryResult((_kept(entry, image) if options.keep else _square(entry, image, options),))
    except UnusableImage as reason:
        return EntryResult((), Reject(entry.name, str(reason)))


def read_table(listing: Listing) -> Iterator[Row | Reject]:
    """The rejects of a table that holds its images, then every record in the table's order."""
    yield from (entry for entry in listing.entries if isinstance(entry, Reject))
    records = {entry.position: entry for entry in listing.entries if isinstance(entry, Record)}
    # Images need not come back from the processes:
    stored, sent = tee(chunks(stored_images(listing, records), CHUNK))
    checked = in_processes(_check_images, ([image for _, image in some] for some in sent))
    for some, outcomes in zip(stored, checked, strict=True):
        for (row, image), outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, str):
                yield Reject(records[row].name, outcome)
            else:
                assert isinstance(image, bytes), "what was opened is an image file"
                yield _row(records[row], image, *outcome)


def _check_images(images: list[Stored]) -> list[tuple[bytes, bool] | str]:
    """Thumbnail and `Opened.changed` of each image, or why it cannot be used."""
    with refuse_bombs():
        return [_thumbnail_or_reason(image) for image in images]


def _thumbnail_or_reason(image: Stored) -> tuple[bytes, bool] | str:
    try:
        if isinstance(image, UnusableImage):
            raise image
        opened = open_picture(image)
        return thumbnail_of(opened.picture), opened.changed
    except UnusableImage as reason:
        return str(reason)


def _open_video(options: OpenOptions, entry: Record) -> EntryResult:
    from lssat.data.prepare.video import face_crops  # its libraries take longer to import than many images to open

    path = resolve_inside(options.root, str(entry.name))
    crops = face_crops(path, options.num_frames, entry.box, options.align)
    rows = tuple(_encoded(entry, Opened(Image.fromarray(picture), False)) for picture in crops.images)
    return EntryResult(rows, without_face=crops.without_face)


def _kept(entry: Record, image: bytes) -> Row:
    opened = open_picture(image)
    return _row(entry, image, thumbnail_of(opened.picture), opened.changed)


def _square(entry: Record, image: bytes, options: OpenOptions) -> Row:
    """The face, cut out by its box or by detection; without `options.crop` the central square, at most SIZE wide.

    An image that is such a square already is kept as it is. A box is in pixels of the upright picture.
    """
    opened = open_picture(image)
    if not options.crop:
        if opened.picture.width == opened.picture.height <= SIZE:
            return _row(entry, image, thumbnail_of(opened.picture), opened.changed)
        return _encoded(entry, Opened(central_square(opened.picture), opened.changed))
    picture = np.asarray(opened.picture)
    if entry.box:
        return _encoded(entry, Opened(Image.fromarray(square_crop(picture, entry.box)), opened.changed))
    face = largest_face(picture)
    if face is None:
        raise UnusableImage("no face found")
    cut_out = level_crop(picture, *face) if options.align else square_crop(picture, face.box)
    return _encoded(entry, Opened(Image.fromarray(cut_out), opened.changed))


def central_square(picture: Image.Image) -> Image.Image:
    """The largest one, at most SIZE wide."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square if side <= SIZE else square.resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _encoded(entry: Record, opened: Opened) -> Row:
    buffer = io.BytesIO()
    opened.picture.save(buffer, "JPEG", quality=QUALITY)
    return _row(entry, buffer.getvalue(), thumbnail_of(opened.picture), opened.changed)


def _row(entry: Record, image: bytes, thumbnail: bytes, changed: bool) -> Row:
    """`changed`: see `Opened`."""
    identity, video, source = map(as_text, (entry.identity, entry.video, entry.source))
    columns = tuple(map(as_text, entry.columns))
    return Row(image, entry.label, identity, entry.split, video, columns, source, thumbnail, changed)
