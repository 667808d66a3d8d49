"""The square around a face that a model sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.sources.listing import Box

Picture = npt.NDArray[np.uint8]
SCALE = 1.3  # side of the crop in longer sides of the box: FaceForensics++ (Rossler et al., 2019)
SIZE = 256
WIDER = 2**0.5  # a square with room for a turned one


def square_crop(image: Picture, box: Box, scale: float = SCALE, size: int = SIZE) -> Picture:
    """The square around the centre of `box`, its side `scale` times the box's longer one. [H, W, 3] -> [size, size, 3].

    A square that crosses the border is shifted inside; one that is larger than the picture is filled up with the
    border's pixels.
    """
    height, width = image.shape[:2]
    side = _side(box, scale)
    left, right = _span((box.left + box.right) / 2, side, width)
    top, bottom = _span((box.top + box.bottom) / 2, side, height)
    return _cut(image, (left, top, right, bottom), size)


def level_crop(image: Picture, box: Box, turn: float, scale: float = SCALE, size: int = SIZE) -> Picture:
    """The same square, turned `turn` degrees clockwise about its centre, so that what is turned so comes out level.

    It stays where the face is: what it shows beyond the border is filled up with the border's pixels.
    """
    height, width = image.shape[:2]
    wide = _side(box, scale * WIDER)
    left = round(np.clip((box.left + box.right) / 2, 0, width - 1) - wide / 2)
    top = round(np.clip((box.top + box.bottom) / 2, 0, height - 1) - wide / 2)
    around = Image.fromarray(_cut(image, (left, top, left + wide, top + wide), round(size * WIDER)))
    level = around.rotate(turn, Image.Resampling.BICUBIC)  # counter-clockwise
    margin = (level.width - size) // 2
    return np.asarray(level.crop((margin, margin, margin + size, margin + size)))


def _side(box: Box, scale: float) -> int:
    return max(round(scale * max(box.right - box.left, box.bottom - box.top)), 1)


def _cut(image: Picture, window: tuple[int, int, int, int], size: int) -> Picture:
    """What a window (left, top, right, bottom) shows, in `size` pixels; the border's pixels where it shows more."""
    height, width = image.shape[:2]
    left, top, right, bottom = window
    side = right - left
    part = image[max(top, 0) : bottom, max(left, 0) : right]
    above, below = max(-top, 0), max(bottom - height, 0)
    before, behind = max(-left, 0), max(right - width, 0)
    part = np.pad(part, ((above, below), (before, behind), (0, 0)), mode="edge")
    reducing = 2.0 if side >= 4 * size else None  # a box filter first, where bicubic alone would read every pixel
    return np.asarray(Image.fromarray(part).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=reducing))


def _span(centre: float, side: int, length: int) -> tuple[int, int]:
    first = round(centre - side / 2)
    first = min(max(first, 0), length - side) if side <= length else -((side - length) // 2)
    return first, first + side
