"""Image bytes of prepared shards -> arrays of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from lssat.data.pictures import open_picture
from lssat.data.prepared.rows import Arrays, ResidentRows, Rows
from lssat.data.prepared.shards import GROUP_ROWS

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def read_resident(paths: list[Path], image_size: int) -> Rows:
    """Decode shards in this process: for a sealed split that is read once."""
    blocks: list[Arrays] = []
    start = 0
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS, columns=["image", "label"]):
            columns = {name: np.array(batch[name].to_pylist(), dtype=object) for name in ("image", "label")}
            blocks.append(decode(columns | {"row": np.arange(start, start + len(batch))}, image_size))
            start += len(batch)
    return ResidentRows(blocks)


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
