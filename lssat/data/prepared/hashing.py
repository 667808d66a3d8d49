"""Perceptual hashes: what a picture is recognised by when it was encoded anew, resized or brightened."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32  # of a thumbnail, in pixels
LOW = 8  # lowest frequencies of each direction that the hash is made of
BLOCK = 4096  # thumbnails that are hashed at once
Hashes = npt.NDArray[np.uint64]
Thumbnails = npt.NDArray[np.uint8]


def thumbnail_of(picture: Image.Image) -> bytes:
    """The means of a decoded picture's grey levels over a grid of 32 x 32: 1024 bytes."""
    return picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


def hashes_of(thumbnails: Thumbnails) -> Hashes:
    """[n, 1024] -> [n]: which of the 64 lowest frequencies of a thumbnail are above their median.

    ImageHash calls this `phash`. The frequencies are those of the discrete cosine transform of type II.
    """
    cosines = np.cos(np.pi * np.arange(LOW)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))
    both = np.kron(cosines, cosines).T
    hashes = np.empty(len(thumbnails), np.uint64)
    for begin in range(0, len(thumbnails), BLOCK):
        low = thumbnails[begin : begin + BLOCK].astype(np.float64) @ both
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes[begin : begin + BLOCK] = np.packbits(bits, axis=1).view(">u8").ravel()
    return hashes
