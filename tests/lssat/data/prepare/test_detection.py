"""The detector's maps are read as a plain loop reads them, turned faces are found, and its file is the one named."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from lssat.data.prepare.cropping import level_crop
from lssat.data.prepare.detection import SEARCHED, Face, largest_face
from lssat.data.prepare.detector import centerface
from lssat.data.prepare.detector.centerface import FILE, SHA256, Found, decode, find_faces
from lssat.data.sources.listing import Box

FACES = os.environ.get("LSSAT_FACES", "")
LEAST = 0.3
EYES = ((207, 108), (246, 108))  # of the astronaut, as a person sees them


def plain(heatmap: np.ndarray, scale: np.ndarray, offset: np.ndarray, landmarks: np.ndarray) -> list[list[float]]:
    """Box, score and landmarks of every likely place, one number at a time."""
    found = []
    for row in range(heatmap.shape[1]):
        for column in range(heatmap.shape[2]):
            score = float(heatmap[0, row, column])
            if score < LEAST:
                continue
            height, width = (float(np.exp(scale[k, row, column])) * 4 for k in (0, 1))
            top = (row + float(offset[0, row, column]) + 0.5) * 4 - height / 2
            left = (column + float(offset[1, row, column]) + 0.5) * 4 - width / 2
            points = []
            for k in range(5):
                points.append(float(landmarks[2 * k + 1, row, column]) * width + left)
                points.append(float(landmarks[2 * k, row, column]) * height + top)
            found.append([left, top, left + width, top + height, score, *points])
    return found


def numbers(found: Found) -> np.ndarray:
    return np.concatenate([found.boxes, found.scores[:, None], found.landmarks.reshape(-1, 10)], axis=1)


def without_doubles(found: list[list[float]]) -> list[list[float]]:
    kept: list[list[float]] = []
    for each in sorted(found, key=lambda numbers: -numbers[4]):
        if all(overlap(each, other) < centerface.MOST_OVERLAP for other in kept):
            kept.append(each)
    return kept


def overlap(first: list[float], second: list[float]) -> float:
    width, height = (max(min(first[k + 2], second[k + 2]) - max(first[k], second[k]), 0) for k in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)


def maps_of(picture: np.ndarray) -> list[np.ndarray]:
    """Of pictures whose sides are multiples of 32."""
    images = np.atleast_3d(picture).transpose(2, 0, 1)[None].astype(np.float32)
    return list(centerface._session().run(centerface.MAPS, {"image": images}))


def turned(picture: np.ndarray, angle: float) -> np.ndarray:
    """Clockwise."""
    return np.asarray(Image.fromarray(picture).rotate(-angle, Image.Resampling.BICUBIC))


def several() -> np.ndarray:
    """The astronaut four times, smaller and turned: [512, 512, 3]."""
    small = np.asarray(Image.fromarray(astronaut()).resize((256, 256)))
    return np.block([[[small], [turned(small, 20)]], [[turned(small, -20)], [small[:, ::-1]]]])


def test_the_file_is_the_one_that_is_named_and_described() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256
    assert SHA256 in FILE.with_name("SOURCE.md").read_text(encoding="utf-8")
    assert FILE.with_name("LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_maps_are_read_as_a_plain_loop_reads_them() -> None:
    picture = several()
    maps = [each[0] for each in maps_of(picture)]
    expected = plain(*maps)
    np.testing.assert_allclose(numbers(decode(*maps, LEAST)), expected, rtol=1e-4, atol=1e-3)
    kept = without_doubles(expected)
    assert len(kept) == 4 < len(expected)
    np.testing.assert_allclose(numbers(find_faces(picture, LEAST)), kept, rtol=1e-4, atol=1e-3)


def test_a_map_without_a_likely_place_has_no_face() -> None:
    found = decode(*(np.zeros((channels, 8, 8), np.float32) for channels in (1, 2, 2, 10)), LEAST)
    assert [part.shape for part in found] == [(0, 4), (0,), (0, 5, 2)]


def test_many_pictures_at_once_have_the_maps_of_each_alone() -> None:
    pictures = [astronaut(), several(), np.zeros((512, 512, 3), np.uint8)]
    batch = np.stack([picture.transpose(2, 0, 1) for picture in pictures]).astype(np.float32)
    together = centerface._session().run(centerface.MAPS, {"image": batch})
    for number, picture in enumerate(pictures):
        for each, alone in zip(together, maps_of(picture), strict=True):
            np.testing.assert_allclose(each[number], alone[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (64, 1), (7, 300), (700, 500)])
def test_pictures_of_any_size_are_searched_and_blank_ones_have_no_face(shape: tuple[int, int]) -> None:
    assert largest_face(np.full((*shape, 3), 90, np.uint8)) is None


@pytest.mark.parametrize("picture", [chelsea, coffee])
def test_a_cat_and_a_cup_are_no_faces(picture: object) -> None:
    assert callable(picture) and largest_face(picture()) is None


@pytest.mark.parametrize("angle", [0, 20, -20, 40, -40])
def test_a_turned_face_is_found_where_it_is_and_made_level(angle: float) -> None:
    picture = turned(astronaut(), angle)
    face = largest_face(picture)
    assert face is not None and abs(face.turn - angle) < 10
    radians = np.deg2rad(angle)
    x, y = (np.mean(EYES, axis=0) - 255.5) @ [[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]]
    assert face.box.left < x + 255.5 < face.box.right and face.box.top < y + 255.5 < face.box.bottom
    again = largest_face(level_crop(picture, *face))
    assert again is not None and abs(again.turn) < 10


def test_a_level_crop_of_a_level_face_shows_its_square_and_one_at_the_border_is_filled_up() -> None:
    picture = astronaut()
    padded = np.pad(picture, ((300, 300), (300, 300), (0, 0)), mode="edge")
    for left, top in ((180, 70), (-30, -30), (430, 430)):
        window = padded[top + 285 :, left + 285 :][:130, :130]
        expected = np.asarray(Image.fromarray(window).resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
        level = level_crop(picture, Box(left, top, left + 100, top + 100), 0.0)
        assert np.median(abs(level - expected)) < 4


def test_a_picture_twice_as_large_has_the_same_face_twice_as_large() -> None:
    face = largest_face(astronaut())
    large = largest_face(np.asarray(Image.fromarray(astronaut()).resize((1024, 1024), Image.Resampling.BICUBIC)))
    assert face is not None and large is not None and SEARCHED[0][0] < 512
    np.testing.assert_allclose(np.array(large.box) / 2, face.box, atol=4)


@pytest.mark.skipif(not FACES, reason="LSSAT_FACES names no file of real faces")
def test_turned_and_small_real_faces_are_found() -> None:
    """On photos: of faces a quarter as high, and of faces half as high and turned."""
    for share, angle, least in ((0.25, 0, 0.8), (0.5, 20, 0.8), (0.5, 40, 0.6)):
        found = [is_found(number, face, share, angle) for number, face in enumerate(real_faces(25))]
        assert np.mean(found) >= least, (share, angle)


def is_found(number: int, face: Image.Image, share: float, angle: float) -> bool:
    """Whether it is found where it was pasted into a photo."""
    photo = Image.fromarray((coffee, chelsea)[number % 2]()).resize((640, 480))
    side = round(480 * share)
    mask = Image.new("L", (side, side), 255).rotate(angle, expand=True)
    turned = face.resize((side, side), Image.Resampling.BICUBIC).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top = 10 + 9 * number % 90, 5 + 7 * number % 60
    photo.paste(turned, (left, top), mask)
    found: Face | None = largest_face(np.asarray(photo))
    x, y = left + mask.width / 2, top + mask.height / 2
    square = [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
    return found is not None and overlap([*found.box], square) > 0.3


def real_faces(count: int) -> Iterator[Image.Image]:
    for content in pq.ParquetFile(FACES).read_row_group(0, columns=["image"])["image"][:count].to_pylist():
        yield Image.open(io.BytesIO(content)).convert("RGB")
