"""Frames are the ones asked for, crops follow the face, and what is no video is refused with its reason."""

from __future__ import annotations

import io
import os
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.data.images import UnusableImage
from lssat.data.prepare.cropping import SIZE, square_crop
from lssat.data.prepare.detection import Face, largest_face, smooth_faces
from lssat.data.prepare.video import face_crops, read_frames
from lssat.data.sources.listing import Box

FACES = os.environ.get("LSSAT_FACES", "")
WIDTH, HEIGHT, FACE = 320, 240, 112
real_faces = pytest.mark.skipif(not FACES, reason="LSSAT_FACES names no file of real faces")


def corner(number: int) -> tuple[int, int]:
    return 10 + 4 * number, 30 + number


def picture(number: int, face: np.ndarray | None) -> np.ndarray:
    """A smooth backdrop, the frame's number as brightness of a patch, and perhaps a face that moves."""
    across = np.linspace(70, 170, WIDTH)[None, :, None] + np.linspace(0, 30, HEIGHT)[:, None, None]
    image = np.repeat(across, 3, axis=2).astype(np.uint8)
    image[-32:, :32] = 5 * number
    if face is not None:
        left, top = corner(number)
        image[top : top + FACE, left : left + FACE] = face
    return image


def write_video(path: Path, pictures: list[np.ndarray], codec: str = "mpeg4", **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def real_face() -> np.ndarray:
    for row in pq.ParquetFile(FACES).read_row_group(0, columns=["image"])["image"].to_pylist():
        face = np.asarray(Image.open(io.BytesIO(row)).convert("RGB"))
        found = largest_face(picture_of(face))
        if found is not None and found.box.right - found.box.left > 80:
            return face
    raise AssertionError("no face of the file is found")


def picture_of(face: np.ndarray) -> np.ndarray:
    return picture(12, face)


def evenly(length: int, frames: int) -> list[int]:
    return np.linspace(0, length - 1, min(frames, length)).round().astype(int).tolist()


def overlap(first: Box, second: Box) -> float:
    width, height = (max(min(first[k + 2], second[k + 2]) - max(first[k], second[k]), 0) for k in (0, 1))
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (first, second))
    return width * height / (areas - width * height)


@pytest.mark.parametrize(("length", "frames"), [(40, 32), (40, 7), (5, 32), (1, 32)])
def test_frames_are_exact(tmp_path: Path, length: int, frames: int) -> None:
    path = write_video(tmp_path / "a.mp4", [picture(number, None) for number in range(length)])
    assert [round(image[-24:-8, 8:24].mean() / 5) for image in read_frames(path, frames)] == evenly(length, frames)


@pytest.mark.skipif("libx264" not in av.codecs_available, reason="PyAV was built without an encoder of H.264")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.h264"])
@pytest.mark.parametrize("order", [{"bf": "3"}, {"bf": "0"}, {"bf": "5", "x264-params": "b-pyramid=strict:open-gop=1"}])
def test_frames_that_are_not_wanted_may_be_skipped_but_those_wanted_are_exact(
    tmp_path: Path, name: str, order: dict[str, str]
) -> None:
    """A bare stream has no times, so that nothing of it is skipped."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 40, (60, HEIGHT, WIDTH, 3), np.uint8)
    pictures = [np.clip(picture(number % 50, None).astype(int) + noise[number], 0, 255) for number in range(60)]
    path = write_video(tmp_path / name, [each.astype(np.uint8) for each in pictures], "libx264", g="25", **order)
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(every) == 60
    for frames in (1, 7, 32, 60):
        found = list(read_frames(path, frames))
        np.testing.assert_array_equal(found, [every[number] for number in evenly(60, frames)])
    if name == "a.mkv":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        assert len(list(read_frames(path, 60))) < 60, "what is left of it is a video"


def test_a_given_box_is_cropped_from_every_frame_the_same_each_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [picture(number, None) for number in range(20)])
    box = Box(0, HEIGHT - 32, 32, HEIGHT)
    first, second = (face_crops(path, 8, box) for _ in range(2))
    assert first.without_face == 0
    for number, image, same in zip(evenly(20, 8), first.images, second.images, strict=True):
        assert image.shape == (SIZE, SIZE, 3) and round(image[128:192, 64:128].mean() / 5) == number
        np.testing.assert_array_equal(image, same)


@real_faces
def test_boxes_follow_a_real_face(tmp_path: Path) -> None:
    face = real_face()
    path = write_video(tmp_path / "a.mp4", [picture(number, face if number < 20 else None) for number in range(30)])
    pictures = list(read_frames(path, 10))
    faces = smooth_faces([largest_face(image) for image in pictures])
    found = [
        overlap(face.box, Box(*corner(number), corner(number)[0] + FACE, corner(number)[1] + FACE))
        for number, face in zip(evenly(30, 10), faces, strict=True)
        if face
    ]
    assert len(found) >= 5 and min(found) > 0.5
    crops = face_crops(path, 10)
    assert crops.without_face == 10 - len(crops.images) >= 3


def test_a_video_without_a_face_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [picture(number, None) for number in range(6)])
    with pytest.raises(UnusableImage, match="no face in any of 4 frames"):
        face_crops(path, 4)


def test_what_is_no_video_is_refused_with_its_reason(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", [picture(number, None) for number in range(30)]).read_bytes()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for name, content, reason in (
        ("empty.mp4", b"", "empty file"),
        ("cut.mp4", whole[: len(whole) // 2], "damaged video"),
        ("text.mp4", b"not a video" * 50, "damaged video"),
        ("sound.mp4", None, "no video"),
        ("absent.mp4", None, "file not found"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableImage, match=reason):
            list(read_frames(tmp_path / name, 4))


def test_smooth_faces_drop_a_stray_one_and_fill_short_gaps_only() -> None:
    def at(x: float, turn: float = 0.0) -> Face:
        return Face(Box(x, x, x + 10, x + 10), turn)

    assert smooth_faces([at(0), at(1), at(90), at(3), None, at(5)]) == [at(0), at(1), at(3), at(5), at(5), at(5)]
    assert smooth_faces([None, at(1), None, None, None, at(5), None]) == [None, at(1), None, None, None, at(5), None]
    assert smooth_faces([None, None]) == [None, None]
    assert smooth_faces([at(0, 10), at(0, 12), at(0, -80)]) == [at(0, 10), at(0, 10), at(0, -80)]
    over = [face.turn % 360 for face in smooth_faces([at(0, 170), at(0, 174), at(0, -178), at(0, -179)]) if face]
    assert over == [170, 174, 181, 181], "upside down there is no step between 180 and -180"


def test_square_crops_keep_the_centre_shift_at_borders_and_fill_up() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(60)[None], np.arange(40)[:, None]
    inside = square_crop(image, Box(20, 10, 30, 20), 1.2, 12)
    np.testing.assert_array_equal(inside, image[9:21, 19:31])
    np.testing.assert_array_equal(square_crop(image, Box(50, 30, 60, 40), 2.0, 20), image[20:40, 40:60])
    larger = square_crop(image, Box(0, 0, 60, 40), 1.0, 60)
    np.testing.assert_array_equal(larger[10:50], image)
    np.testing.assert_array_equal(larger[:10], np.repeat(image[:1], 10, axis=0))
