"""Fakes of the synthetic faces: a disturbed copy of a face is blended back onto itself.

These are the self-blended images of Shiohara and Yamasaki (2022). Real pictures get the same disturbance as a whole or
not at all, so that only the seam, and what differs across it, gives a fake away.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import ConvexHull

from lssat.data.synthetic.camera import resize
from lssat.data.synthetic.canvas import Map, noise

RATIOS = (0.75, 1.0, 1.0, 1.0)


def blend_or_keep(picture: Map, points: Map, fake: bool, rng: np.random.Generator) -> Map:
    """A fake or a real picture [s, s, 3] in [0, 1] from an untouched one.

    points: [n, 2] landmarks as shares of the side.
    """
    changed = disturb(picture, rng)
    first, second = (picture, changed) if rng.random() < 0.5 else (changed, picture)
    cover = face_cover(points, picture.shape[0], rng) * np.float32(rng.choice(RATIOS))
    blended: Map = first + (second - first) * cover[..., None]
    return blended if fake else first


def disturb(picture: Map, rng: np.random.Generator) -> Map:
    """Small changes of position, colour and sharpness [s, s, 3] -> [s, s, 3]."""
    changed = _sharpness(_colour(_warp(picture, rng), rng), rng)
    clipped: Map = np.clip(changed, 0.0, 1.0)
    return clipped


def face_cover(points: Map, size: int, rng: np.random.Generator) -> Map:
    """Soft cover [size, size] in [0, 1] of the convex hull of the landmarks, grown, shrunk and bent at random."""
    chosen = points if rng.random() < 0.6 else points[9:]  # 9 points lie on the jaw: without them, the inner face
    centre = chosen.mean(axis=0)
    bent = (chosen - centre) * rng.uniform(0.9, 1.12, 2) + centre + rng.normal(0.0, 0.012, chosen.shape)
    hull = [(float(x * size), float(y * size)) for x, y in bent[ConvexHull(bent).vertices]]
    sheet = Image.new("L", (size, size))
    ImageDraw.Draw(sheet).polygon(hull, fill=255)
    cover = np.asarray(sheet, np.float32) / 255.0
    return np.asarray(gaussian_filter(cover, size * rng.uniform(0.004, 0.014)), np.float32)


def _warp(picture: Map, rng: np.random.Generator) -> Map:
    """Turn, scale and shift about the centre, plus a smooth elastic field of about a hundredth of the side."""
    size = picture.shape[0]
    angle, scale = rng.normal(0.0, 0.03), rng.uniform(0.93, 1.07)
    shift = rng.normal(0.0, 0.02 * size, 2)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) - np.float32((size - 1) / 2)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    bend = [noise(rng, size, 5, 5) * np.float32(rng.uniform(0.0, 0.012) * size) for _ in range(2)]
    middle = (size - 1) / 2
    coordinates = [
        rows * cos + columns * sin + middle + shift[0] + bend[0],
        columns * cos - rows * sin + middle + shift[1] + bend[1],
    ]
    planes = [map_coordinates(picture[..., c], coordinates, order=1, mode="nearest") for c in range(3)]
    return np.stack(planes, axis=-1)


def _colour(picture: Map, rng: np.random.Generator) -> Map:
    """Another gain of each channel, saturation and contrast."""
    grey = picture.mean(axis=2, keepdims=True)
    gains = np.asarray(rng.normal(1.0, 0.08, 3) * rng.normal(1.0, 0.10), np.float32)
    saturated = grey + (picture - grey) * np.float32(rng.uniform(0.7, 1.3))
    changed: Map = (
        (saturated - 0.45) * np.float32(rng.uniform(0.88, 1.12))
        + 0.45 * gains
        + saturated * (gains - 1.0) * np.float32(0.5)
    )
    return changed


def _sharpness(picture: Map, rng: np.random.Generator) -> Map:
    """Either coarser, through fewer pixels, or sharpened."""
    size = picture.shape[0]
    if rng.random() < 0.5:
        return resize(resize(picture, int(size * rng.uniform(0.4, 0.7))), size)
    sharper: Map = picture + np.float32(rng.uniform(0.3, 1.0)) * (picture - gaussian_filter(picture, (1.0, 1.0, 0.0)))
    return sharper
