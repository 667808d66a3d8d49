"""Where the face is: scikit-image's cascade of local binary patterns, which ships with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import median_filter
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from lssat.data.sources.listing import Box

SEARCHED_SIDE = 320  # longest side in pixels of what is searched
LEAST_SHARE = 0.1  # smallest face sought, as a share of the picture's shorter side
SCALE_STEP = 1.1
LONGEST_GAP = 2  # frames in a row without a detection that are filled in between two detections


def largest_face(image: npt.NDArray[np.uint8]) -> Box | None:
    """The largest frontal face of a picture [H, W, 3], in its pixels; None where there is none."""
    height, width = image.shape[:2]
    factor = min(SEARCHED_SIDE / max(height, width), 1.0)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    least, most = max(round(LEAST_SHARE * min(size)), 24), min(size)  # the cascade's window is 24 pixels wide
    if least > most:
        return None
    found = _cascade().detect_multi_scale(
        small, scale_factor=SCALE_STEP, step_ratio=1, min_size=(least, least), max_size=(most, most)
    )
    if not found:
        return None
    face = max(found, key=lambda face: (face["width"], -face["r"], -face["c"]))
    left, top = face["c"] / factor, face["r"] / factor
    return Box(left, top, left + face["width"] / factor, top + face["height"] / factor)


def smooth_boxes(boxes: Sequence[Box | None]) -> list[Box | None]:
    """Boxes along a video, smoothed.

    Each detection becomes the median of itself, the one before and the one after, coordinate by coordinate, so that a
    single stray one vanishes. Gaps of at most LONGEST_GAP frames between two detections are filled linearly; other
    frames stay without a face.
    """
    seen = [frame for frame, box in enumerate(boxes) if box is not None]
    if not seen:
        return list(boxes)
    smooth = median_filter(np.array([boxes[frame] for frame in seen], np.float64), size=(3, 1), mode="nearest")
    result: list[Box | None] = [None] * len(boxes)
    for frame, values in zip(seen, smooth, strict=True):
        result[frame] = _box(values)
    for index, (before, after) in enumerate(pairwise(seen)):
        if after - before - 1 <= LONGEST_GAP:
            for frame in range(before + 1, after):
                share = (frame - before) / (after - before)
                result[frame] = _box((1 - share) * smooth[index] + share * smooth[index + 1])
    return result


def _box(values: npt.NDArray[np.floating[Any]]) -> Box:
    left, top, right, bottom = values
    return Box(float(left), float(top), float(right), float(bottom))


@cache
def _cascade() -> Any:
    return Cascade(lbp_frontal_face_cascade_filename())
