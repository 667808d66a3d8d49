"""The face detector beside scikit-image's cascade: real faces pasted into whole photos, turned and small, and photos
without a face. `docs/detector.md` has what this prints.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data
from skimage.feature import Cascade
from sklearn.datasets import load_sample_images

from lssat.data.prepare.detection import Face, largest_face
from lssat.data.sources.listing import Box

FACES = os.environ.get("LSSAT_FACES", "")
SHARES, ANGLES, TIMES = (0.12, 0.2, 0.3, 0.5), (0, 20, 40), 12
SIZES = ((640, 480), (1280, 720), (1920, 1080))
FACELESS = ("coffee", "chelsea", "rocket", "brick", "grass", "gravel", "hubble_deep_field", "moon", "coins", "page")
Detector = Callable[[np.ndarray], Box | None]
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]


@cache
def cascade() -> Cascade:
    return Cascade(data.lbp_frontal_face_cascade_filename())


def by_cascade(image: np.ndarray) -> Box | None:
    """As versions before searched: in 320 pixels, faces from a tenth of the shorter side."""
    height, width = image.shape[:2]
    factor = min(320 / max(height, width), 1.0)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    least = max(round(0.1 * min(size)), 24)
    found = cascade().detect_multi_scale(
        small, scale_factor=1.1, step_ratio=1, min_size=(least, least), max_size=(min(size), min(size))
    )
    if not found:
        return None
    face = max(found, key=lambda face: (face["width"], -face["r"], -face["c"]))
    left, top, side = face["c"] / factor, face["r"] / factor, face["width"] / factor
    return Box(left, top, left + side, top + side)


def by_network(image: np.ndarray) -> Box | None:
    face: Face | None = largest_face(image)
    return face.box if face else None


DETECTORS: dict[str, Detector] = {"cascade": by_cascade, "CenterFace": by_network}


def photos() -> list[Image.Image]:
    """Without a face."""
    own = [np.asarray(getattr(data, name)()) for name in FACELESS]
    return [Image.fromarray(each).convert("RGB") for each in (*own, *load_sample_images().images)]


def background(photo: Image.Image, size: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    factor = max(size[0] / photo.width, size[1] / photo.height) * generator.uniform(1, 1.6)
    large = photo.resize((int(photo.width * factor) + 2, int(photo.height * factor) + 2), Image.Resampling.BICUBIC)
    left, top = (int(generator.integers(0, have - want + 1)) for have, want in zip(large.size, size, strict=True))
    return large.crop((left, top, left + size[0], top + size[1]))


def pasted(photo: Image.Image, face: Image.Image, side: int, angle: float, generator: np.random.Generator) -> Box:
    """Paste a face with soft edges and say where its square is."""
    edge = np.minimum(np.arange(112), np.arange(112)[::-1])
    soft = Image.fromarray(np.clip((np.minimum.outer(edge, edge) - 1) * 25, 0, 255).astype(np.uint8))
    turned, mask = (each.rotate(angle, Image.Resampling.BICUBIC, expand=True) for each in (face, soft))
    length = round(turned.width * side / 112)
    left, top = (int(generator.integers(0, max(have - length, 0) + 1)) for have in photo.size)
    photo.paste(turned.resize((length, length)), (left, top), mask.resize((length, length)))
    x, y = left + length / 2, top + length / 2
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def overlap(first: Box, second: Box) -> float:
    width, height = (max(min(first[k + 2], second[k + 2]) - max(first[k], second[k]), 0) for k in (0, 1))
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (first, second))
    return width * height / (areas - width * height)


@pytest.mark.skipif(not Path(FACES).is_file(), reason="real faces are not at hand: set LSSAT_FACES to their table")
def test_more_turned_and_small_faces_are_found_than_by_the_cascade_in_a_fraction_of_its_time() -> None:
    generator, grounds = np.random.default_rng(1911), photos()
    table = pq.read_table(FACES, columns=["image"])["image"]
    rows = generator.choice(len(table), len(SHARES) * len(ANGLES) * TIMES, replace=False)
    faces = iter([Image.open(io.BytesIO(table[int(row)].as_py())).convert("RGB") for row in rows])
    overlaps: dict[str, dict[tuple[float, int], list[float]]] = {name: {} for name in DETECTORS}
    spent = dict.fromkeys(DETECTORS, 0.0)
    for share in SHARES:
        for angle in ANGLES:
            for number in range(TIMES):
                size = SIZES[number % 3]
                frame = background(grounds[int(generator.integers(len(grounds)))], size, generator)
                turn = angle if number % 2 else -angle
                square = pasted(frame, next(faces), round(share * size[1]), turn, generator)
                for name, detect in DETECTORS.items():
                    begun = time.process_time()
                    box = detect(np.asarray(frame))
                    spent[name] += time.process_time() - begun
                    overlaps[name].setdefault((share, angle), []).append(overlap(box, square) if box else 0.0)
    empty = [np.asarray(background(ground, size, generator)) for ground in grounds for size in SIZES]
    found = {}
    for name, detect in DETECTORS.items():
        every = np.array([each for cell in overlaps[name].values() for each in cell])
        found[name] = {cell: float(np.mean(np.array(each) > 0.3)) for cell, each in overlaps[name].items()}
        false = sum(detect(frame) is not None for frame in empty)
        print(
            f"\n{name}: found {np.mean(every > 0.3):.0%}, intersection over union {np.median(every[every > 0.3]):.2f}, "
        )
        print(f"false boxes on {false} of {len(empty)}, {1000 * spent[name] / len(every):.0f} ms a frame")
        print("  " + ", ".join(f"{share}/{angle}: {value:.0%}" for (share, angle), value in found[name].items()))
    assert np.mean([*found["CenterFace"].values()]) > np.mean([*found["cascade"].values()]) + 0.15
    assert spent["CenterFace"] * 2 < spent["cascade"]
