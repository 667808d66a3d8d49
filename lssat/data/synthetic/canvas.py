"""The picture that a synthetic face is painted on: coordinates, soft-edged shapes and noise.

Two frames share one unit, half the height of the head. `u, v` is the head's own frame (origin at its centre, v
downwards); `x, y` is the face's frame, which slides over the head as it turns, so that eyes, nose and mouth move and
the outline stays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lssat.data.synthetic.traits import Colour, Scene

Map = npt.NDArray[np.floating[Any]]
Window = tuple[slice, slice]


class Canvas:
    """A square picture in progress, and where every pixel lies on the head.

    `rgb` and `shade`, the light, are [S, S, 3]; the coordinates `u, v` and `x, y` and `bulge` are [S, S].
    """

    def __init__(self, side: int, head_width: float, scene: Scene) -> None:
        self.side = side
        self.scene = scene
        self.pixel = 2.0 / (side * scene.scale)
        self.rgb: Map = np.zeros((side, side, 3), np.float32)
        self.shade: Map = np.ones((side, side, 3), np.float32)
        line = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(2.0 / side) - 1.0
        across, down = (line - scene.shift_x)[None, :], (line - scene.shift_y)[:, None]
        cos, sin = math.cos(scene.roll) / scene.scale, math.sin(scene.roll) / scene.scale
        self.u: Map = (across * cos + down * sin).astype(np.float32)
        self.v: Map = (down * cos - across * sin).astype(np.float32)
        self.bulge: Map = np.maximum(1.0 - (self.u / head_width) ** 2 - self.v**2, 0.0)
        self.turn_x, self.turn_y = 0.75 * math.sin(scene.yaw), 0.75 * math.sin(scene.pitch)
        self.x: Map = self.u - np.float32(self.turn_x) * self.bulge
        self.y: Map = self.v - np.float32(self.turn_y) * self.bulge

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """The pixels that can hold a box of the face's frame, so that small parts cost little."""
        left, right = left + min(self.turn_x, 0.0), right + max(self.turn_x, 0.0)
        top, bottom = top + min(self.turn_y, 0.0), bottom + max(self.turn_y, 0.0)
        scene, cos, sin = self.scene, math.cos(self.scene.roll), math.sin(self.scene.roll)
        corners = [(u, v) for u in (left, right) for v in (top, bottom)]
        columns = [(u * cos - v * sin) * scene.scale + scene.shift_x for u, v in corners]
        rows = [(u * sin + v * cos) * scene.scale + scene.shift_y for u, v in corners]
        return self._span(rows), self._span(columns)

    def pixel_of(self, x: float, y: float, head_width: float) -> tuple[float, float]:
        """Column and row, as shares of the side, of a point of the face's frame."""
        u, v = x, y
        for _ in range(4):
            bulge = max(1.0 - (u / head_width) ** 2 - v**2, 0.0)
            u, v = x + self.turn_x * bulge, y + self.turn_y * bulge
        cos, sin = math.cos(self.scene.roll) * self.scene.scale, math.sin(self.scene.roll) * self.scene.scale
        return (u * cos - v * sin + self.scene.shift_x + 1) / 2, (u * sin + v * cos + self.scene.shift_y + 1) / 2

    def inside(self, distance: Map, softness: float = 0.0) -> Map:
        """Cover of a shape in [0, 1] from its signed distance, negative inside.

        The edge is one pixel wide, plus `softness`.
        """
        cover: Map = np.clip(0.5 - distance / np.float32(self.pixel + softness), 0.0, 1.0)
        return cover

    def paint(self, where: Window, cover: Map, colour: Colour | Map, lit: bool = True) -> None:
        """Lay a colour (one, or one per pixel) over the window; `lit` multiplies it by the light that falls there."""
        ink: Map = np.asarray(colour, np.float32)
        if lit:
            ink = ink * self.shade[where]
        below = self.rgb[where]
        below += (ink - below) * cover[..., None]

    def darken(self, where: Window, cover: Map, factor: Colour) -> None:
        """Multiply by `factor` where cover is 1: creases, shadows, blush."""
        self.rgb[where] *= 1.0 + cover[..., None] * (np.asarray(factor, np.float32) - 1.0)

    def _span(self, positions: list[float]) -> slice:
        first = int((min(positions) + 1) / 2 * self.side) - 2
        last = int((max(positions) + 1) / 2 * self.side) + 3
        first = min(max(first, 0), self.side - 1)
        return slice(first, min(max(last, first + 1), self.side))


WHOLE: Window = (slice(None), slice(None))


def blob(x: Map, y: Map, at: tuple[float, float], width: float, height: float) -> Map:
    """A Gaussian bump of height 1."""
    bump: Map = np.exp(-(((x - at[0]) / width) ** 2) - ((y - at[1]) / height) ** 2)
    return bump


def noise(rng: np.random.Generator, side: int, rows: int, columns: int) -> Map:
    """Smooth noise [side, side]: a grid of rows x columns standard normal values, stretched."""
    grid = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    return np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Colour between two colours."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue
