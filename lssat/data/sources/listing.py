"""What a reader says of a data set before anything of it is opened: one record per image, video or row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lssat.data.prepared.table import DatasetInfo, Label, Reject

Media = Literal["table", "images", "videos"]
"""What a record stands for: a row of a table that holds its images, an image file, or a video file."""


class Box(NamedTuple):
    """A face, in pixels of the stored picture."""

    left: float
    top: float
    right: float
    bottom: float


class Record(NamedTuple):
    """One image file, one video file, or one row of a table that holds its images; nothing is opened yet.

    position: in the listing, or the row in a table; unique. name: path below the root, or the row in a table. split:
    train, val or test; "" where the data say nothing. video: a key that is unique in the data set, which the frames of
    one video share. columns: values of `DatasetInfo.columns`, in that order. source: the identity whose face a fake
    borrows, "" where unknown.
    """

    position: int
    name: str | int
    label: Label
    identity: str
    split: str
    video: str = ""
    box: Box | None = None
    columns: tuple[str, ...] = ()
    source: str = ""


Entries = list[Record | Reject]


@dataclass(frozen=True)
class Listing:
    """A data set, listed.

    `entries`: usable records and rejects so far, in order. `info`: with the counts expected of `entries`. `crop`:
    whether faces are still to be cut out.
    """

    path: Path
    info: DatasetInfo
    entries: tuple[Record | Reject, ...]
    media: Media
    crop: bool
