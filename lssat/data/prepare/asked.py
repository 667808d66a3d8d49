"""Files that somebody asks a trained model about, opened by the very rules by which its training images were."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.images import UnusableImage, read_inside
from lssat.data.prepare.opening import OpenOptions, open_entry
from lssat.data.prepared.decoding import pixels_of, resized
from lssat.data.prepared.table import DatasetInfo
from lssat.data.sources.listing import Record
from lssat.data.sources.tree import VIDEO_ENDINGS

UNCROPPED = ("celeba", "deepfakebench")  # data sets whose faces are cut out already
FRAMES = 32  # of a video, where the data were images


class Faces(NamedTuple):
    """How pictures become what a model saw in training.

    `keep`: whole, as those of own data; else `crop`: faces are found and cut out, and without it the central square.
    `frames`: to take of a video.
    """

    keep: bool = True
    crop: bool = False
    frames: int = FRAMES

    @classmethod
    def of(cls, info: DatasetInfo) -> Faces:
        """Of prepared data; older ones do not say whether faces were cut out, but their kind does."""
        options, kind = info.options, info.options.get("kind")
        crop = options.get("crop", kind is not None and kind not in UNCROPPED)
        frames = next((int(options[key]) for key in ("frames", f"{kind}.frames") if key in options), FRAMES)
        return cls(kind is None, bool(crop), frames)


class Asked(NamedTuple):
    """The images of one file, uint8 [N, S, S, 3] (of a video, its frames), and how many frames showed no face."""

    images: npt.NDArray[np.uint8]
    without_face: int = 0


def is_video(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() in VIDEO_ENDINGS


def open_asked(path: Path, faces: Faces, image_size: int) -> Asked:
    """To be called inside `refuse_bombs`. Raises UnusableImage with the reason, of which "no face found" is one."""
    path = path.absolute()
    if faces.keep and not is_video(path):
        return Asked(pixels_of(_bytes(path), image_size)[None])
    if is_video(path) and not faces.crop:
        from lssat.data.prepare.video import read_frames  # its libraries take longer to import than to open an image

        frames = [resized(Image.fromarray(frame), image_size) for frame in read_frames(path, faces.frames)]
        return Asked(np.stack(frames))
    real = path.resolve()
    options = OpenOptions(real.parent, "videos" if is_video(path) else "images", faces.crop, False, faces.frames)
    result = open_entry(options, Record(0, real.name, 0, "", ""))
    if result.reject:
        raise UnusableImage(result.reject.reason)
    return Asked(np.stack([pixels_of(row.image, image_size) for row in result.rows]), result.without_face)


def _bytes(path: Path) -> bytes:
    real = path.resolve()
    return read_inside(real.parent, real.name)


def describe(faces: Faces) -> dict[str, Any]:
    """For the bundle: these rules, and the detector that found the faces."""
    if not faces.crop:
        return faces._asdict()
    from hashlib import sha256

    from skimage.data import lbp_frontal_face_cascade_filename

    cascade = Path(lbp_frontal_face_cascade_filename())
    digest = sha256(cascade.read_bytes()).hexdigest()
    return faces._asdict() | {"detector": f"scikit-image {cascade.name}", "detector_sha256": digest}
