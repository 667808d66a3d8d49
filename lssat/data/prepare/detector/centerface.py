"""CenterFace (Xu et al. 2019, arXiv 1911.03599): the faces of a picture and five landmarks of each, by onnxruntime.

Every place of a map that is four times smaller than the picture says how likely a face has its centre there, how large
that face is, and where its eyes, nose and corners of the mouth are. `SOURCE.md` says where the file comes from.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lssat.errors import UserError

FILE = Path(__file__).with_name("centerface.onnx")
SHA256 = "34539815b62ca89d5476c7f6d86ea61ba9f761d96f4664dddbb0d872a27cb183"
STRIDE = 4  # pixels of the picture to a place of the maps
MULTIPLE = 32  # of which the sides that the network takes must be
MOST_OVERLAP = 0.3  # intersection over union from which the less likely of two boxes is the same face
MAPS = ("heatmap", "scale", "offset", "landmarks")

Floats = npt.NDArray[np.floating[Any]]


class Found(NamedTuple):
    """Faces, the likeliest first, in pixels of the picture, which they may cross.

    boxes: [N, 4], left, top, right, bottom. scores: [N], 0 to 1. landmarks: [N, 5, 2], x and y of the eye, the nose and
    the corner of the mouth, those on the picture's left before those on its right.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats


def find_faces(picture: npt.NDArray[np.uint8], least: float) -> Found:
    """Those of a score of at least `least`, of a picture [H, W, 3], as large as it is."""
    height, width = picture.shape[:2]
    padded = np.zeros((1, 3, _rounded_up(height), _rounded_up(width)), np.float32)
    padded[0, :, :height, :width] = picture.transpose(2, 0, 1)
    maps = _session().run(MAPS, {"image": padded})
    return _without_doubles(decode(maps[0][0], maps[1][0], maps[2][0], maps[3][0], least))


def decode(heatmap: Floats, scale: Floats, offset: Floats, landmarks: Floats, least: float) -> Found:
    """Maps [1, h, w], [2, h, w], [2, h, w], [10, h, w] -> every place that is the centre of a face by `least`.

    The maps hold vertical values before horizontal ones: of `scale` the logarithms of height and width, of `offset`
    what is to be added to a place, of `landmarks` shares of height and width from the box's upper left corner.
    """
    row, column = np.nonzero(heatmap[0] >= least)
    height, width = np.exp(scale[:, row, column]) * STRIDE
    down, right = offset[:, row, column]
    top = (row + down + 0.5) * STRIDE - height / 2
    left = (column + right + 0.5) * STRIDE - width / 2
    y = landmarks[0::2, row, column] * height + top
    x = landmarks[1::2, row, column] * width + left
    boxes = np.stack((left, top, left + width, top + height), axis=1)
    return Found(boxes, heatmap[0, row, column], np.stack((x, y), axis=2).transpose(1, 0, 2))


def _without_doubles(found: Found) -> Found:
    """Neighbouring places see the same face: only the likeliest is kept."""
    order = np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[_overlaps(found.boxes[best], found.boxes[order]) < MOST_OVERLAP]
    return Found(*(part[kept] for part in found))


def _overlaps(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box with each of others [N, 4]."""
    inside = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(inside / ((box[2:] - box[:2]).prod() + areas - inside))


def _rounded_up(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE


@cache
def _session() -> Any:
    """On one thread: those who prepare have a process for each core. Safe to be shared by threads."""
    import onnxruntime

    content = FILE.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UserError(f"{FILE.name} of the face detector is not as it was published; install the project anew")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
