"""What a reader says of a data set before anything of it is opened: one record per image, video or row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from lssat.data.prepared.table import DatasetInfo, Label, Reject


class Box(NamedTuple):
    """A face, in pixels of the stored picture."""

    left: float
    top: float
    right: float
    bottom: float


class Record(NamedTuple):
    """One image file, one video file, or one row of a table that holds its images; nothing is opened yet.

    position: its number in the listing, or its row in a table; unique. name: path below the root, or row in a table.
    split: train, val or test; "" where the data say nothing. video: a key that is unique in the data set, which the
    frames of one video share. columns: values of `DatasetInfo.columns`, in that order. source: the identity that a fake
    has its face from, "" where unknown.
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


@dataclass(frozen=True)
class Listing:
    """A data set, listed. `entries`: usable records and rejects so far, in order; `info`: with the counts expected of
    `entries`.
    """

    path: Path
    info: DatasetInfo
    entries: tuple[Record | Reject, ...]
    media: Literal["table", "images", "videos"]
    crop: bool  # whether faces are still to be cut out
