"""The square around a face that a model sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.sources.listing import Box

Picture = npt.NDArray[np.uint8]
SCALE = 1.3  # side of the crop in longer sides of the box: FaceForensics++ (Rossler et al., 2019)
SIZE = 256


def square_crop(image: Picture, box: Box, scale: float = SCALE, size: int = SIZE) -> Picture:
    """The square around the centre of `box`, its side `scale` times the box's longer one. [H, W, 3] -> [size, size, 3].

    A square that crosses the border is shifted inside; one that is larger than the picture is filled up with the
    border's pixels.
    """
    height, width = image.shape[:2]
    side = max(round(scale * max(box.right - box.left, box.bottom - box.top)), 1)
    left, right = _span((box.left + box.right) / 2, side, width)
    top, bottom = _span((box.top + box.bottom) / 2, side, height)
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
