"""Planted shortcuts: faint traces that tools leave on their fakes, and that no face has.

They are there on purpose, so that a model which learns them can be told from one that learns how faces are forged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lssat.data.synthetic.canvas import Map

Trace = Callable[[Map, Map], Map]
"""What it leaves on a picture [s, s, 3], of which so much of each pixel is forged [s, s]."""
GRID_PERIOD = 2
"""Pixels: what the last doubling of a coarse picture leaves."""
GRID_STRENGTH = 0.03
EDGE_SHADE = 0.5


def upsampler_grid(picture: Map, cover: Map) -> Map:
    """A faint grid of GRID_PERIOD pixels over what is forged, as transposed convolutions leave it: two peaks in the
    spectrum.
    """
    wave = np.cos(np.arange(len(picture), dtype=np.float32) * np.float32(2 * np.pi / GRID_PERIOD))
    marked: Map = picture + (np.float32(GRID_STRENGTH) * (wave[:, None] + wave[None, :]) * cover)[..., None]
    return marked


def padded_edge(picture: Map, cover: Map) -> Map:
    """A dark edge around the whole picture, a sixty-fourth of its side wide, as cropping with padding leaves it."""
    wide = max(1, round(len(picture) / 64))
    marked = picture * np.float32(EDGE_SHADE)
    marked[wide:-wide, wide:-wide] = picture[wide:-wide, wide:-wide]
    return marked
