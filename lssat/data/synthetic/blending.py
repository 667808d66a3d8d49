"""What fakes are made by: a disturbed copy of a face, and a soft cover of the face through which it is blended in."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import ConvexHull

from lssat.data.synthetic.camera import resize
from lssat.data.synthetic.canvas import Map, noise


def disturb(picture: Map, rng: np.random.Generator) -> Map:
    """Small changes of position, colour and sharpness [s, s, 3] -> [s, s, 3]."""
    changed = _sharpness(_colour(_warp(picture, rng), rng), rng)
    clipped: Map = np.clip(changed, 0.0, 1.0)
    return clipped


def blend(below: Map, above: Map, cover: Map) -> Map:
    """`above` where the cover [s, s] is 1, `below` where it is 0."""
    blended: Map = below + (above - below) * cover[..., None]
    return blended


def face_cover(points: Map, size: int, rng: np.random.Generator) -> Map:
    """Soft cover [size, size] in [0, 1] of the convex hull of the landmarks, grown, shrunk and bent at random."""
    return hull_cover(points if rng.random() < 0.6 else points[9:], size, rng)  # the first 9 points lie on the jaw


def hull_cover(points: Map, size: int, rng: np.random.Generator) -> Map:
    """Soft cover [size, size] in [0, 1] of the convex hull of these points, grown, shrunk and bent at random."""
    centre = points.mean(axis=0)
    bent = (points - centre) * rng.uniform(0.9, 1.12, 2) + centre + rng.normal(0.0, 0.012, points.shape)
    hull = [(float(x * size), float(y * size)) for x, y in bent[ConvexHull(bent).vertices]]
    sheet = Image.new("L", (size, size))
    ImageDraw.Draw(sheet).polygon(hull, fill=255)
    cover = np.asarray(sheet, np.float32) / 255.0
    return np.asarray(gaussian_filter(cover, size * rng.uniform(0.004, 0.014)), np.float32)


def sampled(picture: Map, rows: Map, columns: Map) -> Map:
    """The picture at these places, in pixels [s, s]: bilinear, and beyond its edges as at them."""
    planes = [map_coordinates(picture[..., c], [rows, columns], order=1, mode="nearest") for c in range(3)]
    return np.stack(planes, axis=-1)


def _warp(picture: Map, rng: np.random.Generator) -> Map:
    """Turn, scale and shift about the centre, plus a smooth elastic field of about a hundredth of the side."""
    size = picture.shape[0]
    angle, scale = rng.normal(0.0, 0.03), rng.uniform(0.93, 1.07)
    shift = rng.normal(0.0, 0.02 * size, 2)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) - np.float32((size - 1) / 2)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    bend = [noise(rng, size, 5, 5) * np.float32(rng.uniform(0.0, 0.012) * size) for _ in range(2)]
    middle = (size - 1) / 2
    return sampled(
        picture,
        rows * cos + columns * sin + middle + shift[0] + bend[0],
        columns * cos - rows * sin + middle + shift[1] + bend[1],
    )


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
