"""Where the face is, and how it is turned: the largest of those that CenterFace finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.prepare.detector.centerface import SHA256, find_faces
from lssat.data.sources.listing import Box

SEARCHED = ((256, 0.5), (640, 0.25))
"""Side of the square that has as many pixels as what is searched, and the least score of a face. Most faces of videos
are found, and surely so, in few pixels; where none is, small ones are sought: docs/detector.md has what is found."""
SIDE = 0.95
"""Of a face in longer sides of CenterFace's box: a crop shows as much around a face as it did when versions before this
one found faces by scikit-image's cascade, whose boxes these are in the median of faces that both find."""
LONGEST_GAP = 2  # frames in a row without a detection that are filled in between two detections
DETECTOR = {
    "detector": f"CenterFace at {' and '.join(f'{side} x {side}' for side, _ in SEARCHED)} pixels",
    "detector_sha256": SHA256,
}
"""What finds faces, and the digest of its file: part of the fingerprint of whatever it cut out."""


class Face(NamedTuple):
    """box: a square, in pixels of the picture. turn: degrees by which the face is turned clockwise."""

    box: Box
    turn: float


def largest_face(image: npt.NDArray[np.uint8]) -> Face | None:
    """The largest face of a picture [H, W, 3]; None where there is none."""
    height, width = image.shape[:2]
    for side, least in SEARCHED:
        factor = min(side / math.sqrt(height * width), 1.0)
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
        found = find_faces(np.asarray(small), least)
        if len(found.boxes):
            largest = int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1)))
            return _face(found.boxes[largest] / factor, found.landmarks[largest] / factor)
    return None


def _face(box: npt.NDArray[np.floating[Any]], landmarks: npt.NDArray[np.floating[Any]]) -> Face:
    left, top, right, bottom = map(float, box)
    x, y, half = (left + right) / 2, (top + bottom) / 2, SIDE * max(right - left, bottom - top) / 2
    return Face(Box(x - half, y - half, x + half, y + half), _turn(landmarks))


def _turn(landmarks: npt.NDArray[np.floating[Any]]) -> float:
    """Of lines along eyes and mouth, and of the one from eyes to mouth a right angle on: the eyes alone, of turned
    faces, come out too level.
    """
    left_eye, right_eye, _, left_corner, right_corner = landmarks
    downward = (left_corner + right_corner - left_eye - right_eye) / 2
    across, down = right_eye - left_eye + right_corner - left_corner + (downward[1], -downward[0])
    return math.degrees(math.atan2(down, across))


def smooth_faces(faces: Sequence[Face | None]) -> list[Face | None]:
    """Faces along a video, smoothed.

    Each detection becomes the median of itself, the one before and the one after, coordinate by coordinate, so that a
    single stray one vanishes. Gaps of at most LONGEST_GAP frames between two detections are filled linearly; other
    frames stay without a face.
    """
    seen = [(frame, (*face.box, face.turn)) for frame, face in enumerate(faces) if face is not None]
    if not seen:
        return list(faces)
    values = np.array([numbers for _, numbers in seen], np.float64)
    values[:, 4] = np.unwrap(values[:, 4], period=360)
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    smooth = np.median((padded[:-2], padded[1:-1], padded[2:]), axis=0)
    result: list[Face | None] = [None] * len(faces)
    for (frame, _), numbers in zip(seen, smooth, strict=True):
        result[frame] = _of_numbers(numbers)
    for index, ((before, _), (after, _)) in enumerate(pairwise(seen)):
        if after - before - 1 <= LONGEST_GAP:
            for frame in range(before + 1, after):
                share = (frame - before) / (after - before)
                result[frame] = _of_numbers((1 - share) * smooth[index] + share * smooth[index + 1])
    return result


def _of_numbers(values: npt.NDArray[np.floating[Any]]) -> Face:
    left, top, right, bottom, turn = map(float, values)
    return Face(Box(left, top, right, bottom), turn)
