"""Glasses, hats and earrings of a synthetic face."""

from __future__ import annotations

import numpy as np

from lssat.data.synthetic.canvas import WHOLE, Canvas, noise
from lssat.data.synthetic.head import head_distance
from lssat.data.synthetic.traits import Person, Scene


def paint_glasses(canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> None:
    """Two rims, a bridge and temples; dark lenses hide most of the eyes, clear ones glare a little."""
    if not scene.glasses:
        return
    where = canvas.window(-0.95, 0.95, -0.45, 0.5)
    x, y = canvas.x[where] - 0.05 * np.float32(canvas.turn_x), canvas.y[where] - 0.04
    across, power = np.abs(x) - person.eye_gap - 0.01, 2.0 if scene.glasses == "round" else 4.0
    wide, tall = rng.uniform(0.235, 0.265), rng.uniform(0.17, 0.23)
    radius = ((np.abs(across) / wide) ** power + (np.abs(y) / tall) ** power) ** (1 / power)
    lens = canvas.inside((radius - 1.0) * tall)
    if scene.glasses == "dark":
        canvas.paint(where, 0.72 * lens, (0.10, 0.09, 0.09), lit=False)
    glare = np.clip(np.sin(9 * (x + 0.7 * y) + rng.uniform(0, 6)) - 0.6, 0, 1)
    canvas.paint(where, lens * glare * np.float32(rng.uniform(0.1, 0.45)), (0.95, 0.97, 1.0), lit=False)
    dark, thick = rng.uniform(0.04, 0.35), rng.uniform(0.012, 0.028)
    frame = canvas.inside(np.abs(radius - 1.0) * tall - thick)
    bridge = canvas.inside(
        np.maximum(np.abs(y + 0.05 - 0.3 * x**2) - thick, np.abs(x) - (person.eye_gap - wide + 0.02))
    )
    temple = canvas.inside(np.maximum(np.abs(y + 0.06) - thick, person.eye_gap + wide - np.abs(x)))
    temple *= np.abs(canvas.u[where]) < person.head_width
    plastic = (dark, dark * rng.uniform(0.6, 1.0), dark * rng.uniform(0.5, 1.0))
    canvas.paint(where, np.maximum(np.maximum(frame, bridge), temple), plastic, lit=False)


def paint_hat(canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> None:
    """A knitted beanie, a cap with a visor or a brimmed hat, down to the forehead."""
    if not scene.hat:
        return
    x, y, u, v = canvas.x, canvas.y, canvas.u, canvas.v
    edge = rng.uniform(-0.50, -0.42)
    colour = np.clip(np.asarray(scene.cloth[::-1]) * rng.uniform(0.5, 1.3), 0.04, 0.95).astype(np.float32)
    dome = head_distance(canvas, person, person.hair_lift + 0.05)
    stiff = np.minimum(dome, np.maximum(np.abs(u) - person.head_width * 0.85, -1.22 - v))
    crown = np.maximum(stiff if scene.hat == "brim" else dome, y - edge - 0.1 * x**2)
    light = np.clip(scene.ambient + scene.diffuse * (0.5 + 0.5 * (scene.light[0] * u - 0.4 * v)), 0.15, 1.2)
    weave = np.sin(u * 60) * (scene.hat == "beanie") + 0.6 * noise(rng, canvas.side, canvas.side // 2, canvas.side // 2)
    ink = colour * (light * (1.0 + 0.10 * weave))[..., None]
    canvas.darken(
        WHOLE,
        canvas.inside(np.maximum(y - edge - 0.16, np.abs(x) - 0.7 * person.head_width), 0.12) * 0.45,
        (0.5, 0.48, 0.48),
    )
    canvas.paint(WHOLE, canvas.inside(crown, 0.01), ink, lit=False)
    if scene.hat == "beanie":
        cuff = np.maximum(np.abs(y - edge + 0.08 - 0.1 * x**2) - 0.10, dome - 0.02)
    elif scene.hat == "cap":
        cuff = np.sqrt((x / (0.72 * person.head_width)) ** 2 + ((y - edge) / 0.13) ** 2) * 0.3 - 0.3
    else:
        cuff = (
            np.sqrt((u / (person.head_width * 1.55)) ** 2 + ((y - edge + 0.02 - 0.06 * x**2) / 0.10) ** 2) * 0.3 - 0.3
        )
    canvas.paint(WHOLE, canvas.inside(cuff, 0.01), ink * np.float32(0.78), lit=False)


def paint_earrings(canvas: Canvas, person: Person, scene: Scene) -> None:
    """A small bright ball below each ear."""
    if not scene.earrings:
        return
    for side in (-1.0, 1.0):
        edge = side * (person.head_width + 0.03)
        where = canvas.window(edge - 0.15, edge + 0.15, 0.2, 0.55)
        distance = np.sqrt((canvas.u[where] - edge) ** 2 + (canvas.v[where] - 0.37) ** 2)
        canvas.paint(where, canvas.inside(distance - 0.05), (0.92, 0.82, 0.45), lit=False)
        canvas.paint(where, canvas.inside(distance - 0.018), (1.0, 1.0, 0.9), lit=False)
