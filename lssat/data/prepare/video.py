"""Evenly spaced frames of a video file, and the faces in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from lssat.data.images import UnusableImage
from lssat.data.prepare.cropping import Picture, square_crop
from lssat.data.prepare.detection import largest_face, steady
from lssat.data.sources.listing import Box

MOST_PIXELS = 8192 * 8192  # of one frame; more is no video of a face


class Crops(NamedTuple):
    """Faces of one video, [SIZE, SIZE, 3], in order, and how many of the frames had none."""

    images: list[Picture]
    without_face: int


def face_crops(path: Path, frames: int, box: Box | None = None) -> Crops:
    """The face in each of `frames` evenly spaced frames; `box`, where it is known, holds for all of them. Raises
    UnusableImage.
    """
    pictures = list(read_frames(path, frames))
    boxes = steady([largest_face(picture) for picture in pictures]) if box is None else [box] * len(pictures)
    images = [square_crop(picture, face) for picture, face in zip(pictures, boxes, strict=True) if face is not None]
    if not images:
        raise UnusableImage(f"no face in any of {len(pictures)} frames")
    return Crops(images, len(pictures) - len(images))


def read_frames(path: Path, frames: int) -> Iterator[Picture]:
    """[H, W, 3] of `frames` evenly spaced frames from the first to the last, turned upright; all, if there are fewer.

    Everything up to the last one is decoded, which is exact whatever the file says of times and key frames. Raises
    UnusableImage.
    """
    if not path.is_file() or not path.stat().st_size:
        raise UnusableImage("empty file" if path.is_file() else "file not found")
    try:
        with av.open(str(path)) as counted:
            total = sum(packet.size > 0 for packet in counted.demux(_stream(counted)))
        wanted = set(np.linspace(0, total - 1, min(frames, total)).round().astype(int).tolist()) if total else set()
        with av.open(str(path)) as container:
            stream = _stream(container)
            stream.codec_context.thread_count = 1
            number = -1
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    if frame.width * frame.height > MOST_PIXELS:
                        raise UnusableImage(f"frames of {frame.width}x{frame.height} pixels refused")
                    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    yield np.rot90(picture, round(frame.rotation / 90)).copy()
        if number + 1 < total or not total:
            raise UnusableImage(f"damaged video: {number + 1} of {total} frames can be decoded")
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        raise UnusableImage(f"damaged video: {error.__class__.__name__}") from None


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    if not container.streams.video:
        raise UnusableImage("no video in the file")
    return container.streams.video[0]
