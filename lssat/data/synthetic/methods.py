"""The methods by which fakes of the synthetic faces are made, each with what it changes and where.

Two of them leave a planted trace on every fake (`traces.py`), by which a model can tell these fakes without having
learnt anything of use against others: what a study of generalisation has to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from lssat.data.synthetic.blending import blend, face_cover, hull_cover, sampled
from lssat.data.synthetic.camera import resize
from lssat.data.synthetic.canvas import Map, noise
from lssat.data.synthetic.traces import Trace, padded_edge, upsampler_grid

RATIOS = (0.75, 1.0, 1.0, 1.0)
JAW, BROWS, EYES, NOSE, TIP, MOUTH = (
    slice(*ends) for ends in ((2, 7), (9, 13), (13, 17), (18, 21), (19, 20), (21, 25))
)
"""Where they stand among the landmarks; of the jaw its lower part, of the nose its base."""


class Face(NamedTuple):
    """A picture [s, s, 3] in [0, 1] that fakes are made of, a copy of it that is disturbed where the picture is not, or
    the other way round, and landmarks [25, 2] as shares of the side.
    """

    picture: Map
    twin: Map
    points: Map


class Forgery(NamedTuple):
    """A fake [s, s, 3], and how much of each pixel is forged [s, s] in [0, 1]."""

    picture: Map
    cover: Map


def self_blend(face: Face, donor: Face, rng: np.random.Generator) -> Forgery:
    """A disturbed copy of the face is blended onto it: the self-blended images of Shiohara and Yamasaki (2022)."""
    return _laid_on(face, face.twin, face_cover(face.points, len(face.picture), rng), rng)


def region_swap(face: Face, donor: Face, rng: np.random.Generator) -> Forgery:
    """The donor's features, fitted by their landmarks and brought near the face's colours."""
    size = len(face.picture)
    inner = [points[9:] * size for points in (face.points, donor.points)]
    fit = np.linalg.lstsq(np.column_stack([inner[0], np.ones(len(inner[0]))]), inner[1], rcond=None)[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    fitted = sampled(
        donor.picture,
        columns * fit[0, 1] + rows * fit[1, 1] + fit[2, 1],
        columns * fit[0, 0] + rows * fit[1, 0] + fit[2, 0],
    )
    cover = face_cover(face.points, size, rng)
    shift = (face.picture - fitted)[cover > 0.5].mean(axis=0) * rng.uniform(0.3, 0.8)
    return _laid_on(face, fitted + shift.astype(np.float32), cover, rng)


def warp(face: Face, donor: Face, rng: np.random.Generator) -> Forgery:
    """Another expression: a smooth field moves mouth and chin or brows, at the coarser resolution of a generator."""
    size = len(face.picture)
    lower = rng.random() < 0.75
    parts = (JAW, NOSE, MOUTH) if lower else (BROWS, EYES, TIP)
    cover = hull_cover(np.concatenate([face.points[part] for part in parts]), size, rng)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    down, across = np.zeros_like(rows), np.zeros_like(rows)
    for x, y in face.points[MOUTH if lower else BROWS] * size:
        pull = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / np.float32(2 * (0.07 * size) ** 2))
        strong = rng.uniform(0.025, 0.055) * size
        down += pull * np.float32(strong * rng.choice((-1, 1)))
        across += pull * np.float32(rng.normal(0.0, 0.015) * size)
    moved = sampled(face.picture, rows - down, columns - across)
    coarse = resize(resize(moved, int(size * rng.uniform(0.3, 0.5))), size)
    return _laid_on(face, coarse * np.asarray(rng.normal(1.0, 0.06, 3), np.float32), cover, rng)


def texture(face: Face, donor: Face, rng: np.random.Generator) -> Forgery:
    """Skin of another tone and grain is synthesised over what is left of the face when its detail is taken away."""
    size = len(face.picture)
    cover = face_cover(face.points, size, rng)
    smooth = gaussian_filter(face.picture, (0.025 * size, 0.025 * size, 0.0))
    detail = face.picture - smooth
    grain = noise(rng, size, size // 3, size // 3)[..., None] * np.float32(rng.uniform(0.3, 0.7))
    tone = np.asarray(rng.normal(1.0, 0.09, 3) * rng.normal(1.0, 0.09), np.float32)
    made = smooth * tone + detail * np.float32(rng.uniform(0.2, 0.5)) + grain * detail[cover > 0.5].std()
    return _laid_on(face, made, cover, rng)


METHODS: dict[str, Callable[[Face, Face, np.random.Generator], Forgery]] = {
    "self_blend": self_blend,
    "region_swap": region_swap,
    "warp": warp,
    "texture": texture,
}
BORROWING = ("region_swap",)
"""Those whose fakes have the features of a donor."""
TRACES: dict[str, Trace] = {"region_swap": padded_edge, "texture": upsampler_grid}
"""The planted shortcuts, by the method that leaves them."""


def forge(method: str, face: Face, donor: Face, rng: np.random.Generator) -> Forgery:
    """A fake in [0, 1] without a trace, as its method makes it."""
    made = METHODS[method](face, donor, rng)
    return made._replace(picture=np.clip(made.picture, 0.0, 1.0))


def traced(method: str, picture: Map, cover: Map) -> Map:
    """The picture [s, s, 3] in [0, 1] of a fake, as its method's tool writes it into a file."""
    marked: Map = np.clip(TRACES[method](picture, cover), 0.0, 1.0) if method in TRACES else picture
    return marked


def _laid_on(face: Face, made: Map, cover: Map, rng: np.random.Generator) -> Forgery:
    """Of some fakes a quarter of the face shows through."""
    cover = cover * np.float32(rng.choice(RATIOS))
    return Forgery(blend(face.picture, made, cover), cover)
