"""Evenly spaced frames of a video file, and the faces in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from lssat.data.images import UnusableImage
from lssat.data.prepare.cropping import Picture, level_crop, square_crop
from lssat.data.prepare.detection import Face, largest_face, smooth_faces
from lssat.data.sources.listing import Box

MOST_PIXELS = 8192 * 8192  # of one frame; more is no video of a face


class Crops(NamedTuple):
    """Faces of one video, [SIZE, SIZE, 3], in order, and how many of the frames had none."""

    images: list[Picture]
    without_face: int


def face_crops(path: Path, num_frames: int, box: Box | None = None, align: bool = False) -> Crops:
    """The face in each of `num_frames` evenly spaced frames; `box`, where it is known, holds for all of them. `align`:
    faces that are found are turned upright.

    Frames are searched one by one: on one core several at a time take longer. Raises UnusableImage.
    """
    pictures = list(read_frames(path, num_frames))
    known = Face(box, 0.0) if box else None
    faces = [known] * len(pictures) if known else smooth_faces([largest_face(picture) for picture in pictures])
    images = [
        level_crop(picture, *face) if align else square_crop(picture, face.box)
        for picture, face in zip(pictures, faces, strict=True)
        if face is not None
    ]
    if not images:
        raise UnusableImage(f"no face in any of {len(pictures)} frames")
    return Crops(images, len(pictures) - len(images))


def read_frames(path: Path, num_frames: int) -> Iterator[Picture]:
    """[H, W, 3] of `num_frames` evenly spaced frames from the first to the last, turned upright; all, if fewer.

    They are counted, not sought by time or key frame, which would not be exact. Raises UnusableImage."""
    try:
        if not path.is_file() or not path.stat().st_size:
            raise UnusableImage("empty file" if path.is_file() else "file not found")
        with av.open(str(path)) as counted:
            times = [packet.pts for packet in counted.demux(_stream(counted)) if packet.size > 0]
        if not times:
            raise UnusableImage("damaged video: 0 of 0 frames can be decoded")
        wanted = set(np.linspace(0, len(times) - 1, min(num_frames, len(times))).round().astype(int).tolist())
        with av.open(str(path)) as container:
            stream = _stream(container)
            stream.codec_context.thread_count = 1  # each process decodes a video of its own
            for frame in _frames(container, stream, times, wanted):
                yield _picture(frame)
    except PermissionError:
        raise UnusableImage("cannot be read: PermissionError") from None
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        raise UnusableImage(f"damaged video: {error.__class__.__name__}") from None


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, times: list[int | None], wanted: set[int]
) -> Iterator[av.VideoFrame]:
    """Those wanted, by their numbers. `times`: of all packets, as they lie in the file. Raises UnusableImage.

    Frames that no other is made of are not decoded where nobody wants them: in H.264 about half of all. That needs the
    time of each, by which the decoder names what it gives.
    """
    known = sorted(time for time in times if time is not None)
    is_skipping = stream.codec_context.name == "h264" and len(set(known)) == len(times)
    kept = {known[number] for number in wanted} if is_skipping else set()
    decoded = found = 0
    for packet in container.demux(stream):
        if is_skipping:
            stream.codec_context.skip_frame = "NONREF" if packet.size and packet.pts not in kept else "DEFAULT"
        for frame in packet.decode():
            if frame.pts in kept if is_skipping else decoded in wanted:
                found += 1
                yield frame
            decoded += 1
    if found < len(wanted) or (not is_skipping and decoded < len(times)):
        least = f"{found} of {len(wanted)} wanted" if is_skipping else f"{decoded} of {len(times)}"
        raise UnusableImage(f"damaged video: {least} frames can be decoded")


def _picture(frame: av.VideoFrame) -> Picture:
    """[H, W, 3], upright. Raises UnusableImage."""
    if frame.width * frame.height > MOST_PIXELS:
        raise UnusableImage(f"frames of {frame.width}x{frame.height} pixels refused")
    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))


def _stream(container: av.container.InputContainer) -> av.VideoStream:
    if not container.streams.video:
        raise UnusableImage("no video in the file")
    return container.streams.video[0]
