"""Image bytes of prepared shards -> arrays of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.pictures import open_picture
from lssat.data.prepared.rows import Arrays, ResidentRows, Rows
from lssat.data.prepared.shards import GROUP_ROWS
from lssat.data.prepared.table import row_groups

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def read_resident(paths: list[Path], image_size: int, kept: npt.NDArray[np.bool_] | None = None) -> Rows:
    """Decode shards in this process: for a sealed split that is read once. kept [N]: which rows count; None: all."""
    blocks: list[Arrays] = []
    start = 0
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS, columns=["image", "label"]):
            columns = {name: np.array(batch[name].to_pylist(), dtype=object) for name in ("image", "label")}
            blocks.append(decode(columns | {"row": np.arange(start, start + len(batch))}, image_size))
            start += len(batch)
    return ResidentRows(blocks, None if kept is None else np.flatnonzero(kept))


def read_some(paths: list[Path], most: int, image_size: int) -> Arrays:
    """As `decode`, of at most `most` rows of a split, evenly spread over it: it may lie there class by class."""
    groups = row_groups(paths)
    total = sum(group.rows for group in groups)
    rows = np.linspace(0, total - 1, min(total, most)).astype(np.int64)
    blocks: list[Arrays] = []
    for group in groups:
        inside = rows[(rows >= group.start) & (rows < group.start + group.rows)]
        if len(inside):
            table = pq.ParquetFile(group.path).read_row_group(group.row_group, columns=["image", "label"])
            columns = table.take(inside - group.start).to_pydict()
            blocks.append(decode(columns | {"row": inside}, image_size))
    return {name: np.concatenate([block[name] for block in blocks]) for name in ("image", "label", "row")}


def decode(batch: Mapping[str, Any], image_size: int) -> Arrays:
    """JPEG or PNG bytes -> `image` uint8 [N,H,W,3], `label` int64, and `row`, where in the split."""
    images = np.stack([pixels_of(data, image_size) for data in batch["image"]])
    labels = np.stack([np.asarray(label, dtype=np.int64) for label in batch["label"]])
    return {"image": images, "label": labels, "row": np.asarray(batch["row"])}


def pixels_of(data: bytes, image_size: int) -> Pixels:
    """uint8 [S, S, 3] of a JPEG or PNG. Raises UnusableImage."""
    return resized(open_picture(data).picture, image_size)


def resized(picture: Image.Image, image_size: int) -> Pixels:
    """A picture in RGB -> uint8 [S, S, 3]."""
    if picture.size != (image_size, image_size):
        picture = picture.resize((image_size, image_size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)
