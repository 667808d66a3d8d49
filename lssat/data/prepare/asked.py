"""Files that somebody asks a trained model about, opened by the very rules by which its training images were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.images import UnusableImage, read_inside, resolve_inside
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.opening import OpenOptions, central_square, open_entry
from lssat.data.prepared.decoding import pixels_of, resized
from lssat.data.prepared.table import DatasetInfo
from lssat.data.sources.listing import Record
from lssat.data.sources.tree import VIDEO_ENDINGS

OF_VIDEOS = ("celebdf", "celebdfpp", "dfdc", "faceforensics")
"""Data sets whose faces are cut out where they come as videos."""
WITH_BOXES = ("affectnet", "csv")  # data set and form that give the box of each face
FRAMES = 32  # of a video, where the data were images
OLDER_DETECTOR = {
    "detector": "scikit-image lbpcascade_frontalface_opencv.xml",
    "detector_sha256": "03097789a3dcbb0e40d20b9ef82537dbc3b670b6a7f2268d735470f22e003a91",
}
"""What found faces in versions before `DETECTOR`, whose data do not name it."""


class Faces(NamedTuple):
    """How pictures become what a model saw in training.

    `keep`: whole, as those of own data; else `crop`: faces are found and cut out, and without it the central square.
    `boxes`: they were cut out by boxes that the data set gives, which no photo of one's own has. `frames`: to take of a
    video. `align`: faces that are found are turned upright.
    """

    keep: bool = True
    crop: bool = False
    frames: int = FRAMES
    boxes: bool = False
    align: bool = False

    @property
    def are_found(self) -> bool:
        """Whether a detector says where the faces of the data are."""
        return self.crop and not self.boxes

    @classmethod
    def of(cls, info: DatasetInfo) -> Faces:
        """Of prepared data. Older ones do not say whether faces were cut out: videos are taken for granted."""
        options, kind = info.options, info.options.get("kind")
        boxes = (kind, options.get("form")) == WITH_BOXES
        crop = options.get("crop", kind in OF_VIDEOS or boxes)
        frames, align = int(options.get("frames", FRAMES)), bool(options.get("align"))
        return cls(kind is None, bool(crop), frames, boxes, align)


def with_faces(info: DatasetInfo, crop: bool) -> DatasetInfo:
    """`info` of data that are yet to be opened with what `Faces.of` and `detector_of` will read there."""
    info = replace(info, options=info.options | {"crop": crop})
    return replace(info, options=info.options | DETECTOR) if Faces.of(info).are_found else info


class Asked(NamedTuple):
    """The images of one file, uint8 [N, S, S, 3] (of a video, its frames), and how many frames showed no face."""

    images: npt.NDArray[np.uint8]
    without_face: int = 0


def is_video(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() in VIDEO_ENDINGS


def open_asked(path: Path, faces: Faces, image_size: int) -> Asked:
    """To be called inside `refuse_bombs`. Raises UnusableImage with the reason, of which "no face found" is one."""
    root, name = _located(path)
    if is_video(path) and not faces.crop:
        return Asked(_frames(resolve_inside(root, name), faces, image_size))
    if faces.keep and not is_video(path):
        return Asked(pixels_of(read_inside(root, name), image_size)[None])
    options = OpenOptions(root, "videos" if is_video(path) else "images", faces.crop, False, faces.frames, faces.align)
    result = open_entry(options, Record(0, name, 0, "", ""))
    if result.reject:
        raise UnusableImage(result.reject.reason)
    return Asked(np.stack([pixels_of(row.image, image_size) for row in result.rows]), result.without_face)


def _located(path: Path) -> tuple[Path, str]:
    """The folder that the file is in, links followed, and its name there. Raises UnusableImage."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle; ValueError: a null byte
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None
    return real.parent, real.name


def _frames(path: Path, faces: Faces, image_size: int) -> npt.NDArray[np.uint8]:
    """Of a video in which no faces are sought: whole, or their central squares, as the images were."""
    from lssat.data.prepare.video import read_frames  # its libraries take longer to import than to open an image

    pictures = (Image.fromarray(frame) for frame in read_frames(path, faces.frames))
    squares = pictures if faces.keep else map(central_square, pictures)
    return np.stack([resized(picture, image_size) for picture in squares])


def detector_of(info: DatasetInfo) -> Mapping[str, str]:
    """What found the faces of prepared data, or would find those of new photos where their boxes were given."""
    if not Faces.of(info).are_found:
        return DETECTOR
    return {name: info.options.get(name, OLDER_DETECTOR[name]) for name in DETECTOR}


def describe(faces: Faces, detector: Mapping[str, str] = DETECTOR) -> dict[str, Any]:
    """For the bundle: these rules, and the detector that found the faces."""
    return faces._asdict() | ({**detector} if faces.crop else {})


def differences(described: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know of opening pictures by what `describe` gave, which may have been elsewhere."""
    if not described:
        return ("how pictures were prepared is not on record: they are taken whole, and should show a face each",)
    if described.get("boxes"):
        return (
            f"in training faces were cut out by the boxes of the data set; here {DETECTOR['detector']} finds them, "
            "which frames them otherwise, so answers may be worse than the scores say",
        )
    if described["crop"] and (trained := {name: described.get(name) for name in DETECTOR}) != DETECTOR:
        found = f"{DETECTOR['detector']}, sha256 {DETECTOR['detector_sha256'][:12]}"
        framed = ", which framed them as wide but less steadily" if trained == OLDER_DETECTOR else ""
        return (
            f"faces are found by another detector here ({found}) than in training ({trained['detector']}{framed}), so "
            "answers may differ a little from the scores",
        )
    return ()
