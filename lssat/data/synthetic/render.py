"""From person, scene and acts to a picture of a synthetic face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lssat.data.synthetic.canvas import Canvas, Map
from lssat.data.synthetic.expression import Acts
from lssat.data.synthetic.features import landmarks, paint_brows, paint_eyes, paint_folds, paint_mouth, paint_nose
from lssat.data.synthetic.hair import Hair, paint_beard
from lssat.data.synthetic.head import paint_backdrop, paint_body, paint_skin
from lssat.data.synthetic.traits import Person, Scene
from lssat.data.synthetic.wear import paint_earrings, paint_glasses, paint_hat


class Portrait(NamedTuple):
    """`rgb` [S, S, 3] in about [0, 1]; `points` [25, 2] landmarks as (column, row) shares of the side."""

    rgb: Map
    points: Map


def render(person: Person, scene: Scene, acts: Acts, side: int, rng: np.random.Generator) -> Portrait:
    """Paint from back to front. `rng` brings the grain of skin, hair and cloth."""
    canvas = Canvas(side, person.head_width, scene)
    hair = Hair(canvas, person, scene, rng)
    paint_backdrop(canvas, scene, rng)
    hair.paint_behind()
    paint_body(canvas, person, scene, rng)
    paint_skin(canvas, person, scene, acts, rng)
    paint_folds(canvas, person, acts)
    paint_nose(canvas, person, acts)
    paint_beard(canvas, person, acts, rng)
    paint_mouth(canvas, person, scene, acts)
    paint_eyes(canvas, person, scene, acts)
    paint_brows(canvas, person, acts, rng)
    paint_earrings(canvas, person, scene)
    hair.paint_cap()
    paint_hat(canvas, person, scene, rng)
    paint_glasses(canvas, person, scene, rng)
    points = [canvas.pixel_of(x, y, person.head_width) for x, y in landmarks(person, acts)]
    return Portrait(canvas.rgb, np.asarray(points, np.float32))
