"""Hair of the head and beard of a synthetic face: strands are noise stretched along the flow of the hair."""

from __future__ import annotations

import numpy as np

from lssat.data.synthetic.canvas import WHOLE, Canvas, Map, blob, mix, noise
from lssat.data.synthetic.expression import Acts
from lssat.data.synthetic.features import mouth_curve
from lssat.data.synthetic.head import head_distance
from lssat.data.synthetic.traits import Person, Scene

GRAIN = 256


class Hair:
    """The hair of one image: what hangs behind the head and what lies on it share strands."""

    def __init__(self, canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> None:
        self.canvas, self.person, self.scene = canvas, person, scene
        self.frizz = noise(rng, canvas.side, canvas.side // 4, canvas.side // 4) * (
            0.05 if person.hair_style == "curly" else 0.014
        )
        self.ink = _strands(canvas, person, scene, rng)
        self.jag = noise(rng, canvas.side, 3, canvas.side // 5)

    def paint_behind(self) -> None:
        """Long hair, curls and buns behind neck and head."""
        canvas, person, u, v = self.canvas, self.person, self.canvas.u, self.canvas.v
        if person.hair_style == "long":
            half = person.head_width + person.hair_lift + 0.10 * np.clip(v + 0.3, 0, 1)
            distance = np.maximum(np.abs(u) - half, v - person.hair_length)
            distance = np.where(v < -0.2, head_distance(canvas, person, person.hair_lift + 0.02), distance)
        elif person.hair_style == "curly":
            distance = (np.sqrt((u / (person.head_width + 0.26)) ** 2 + ((v + 0.2) / 1.03) ** 2) - 1) * 0.9
        elif person.hair_style == "bun" and not self.scene.hat:
            distance = np.sqrt(u**2 + (v + 1.15) ** 2) - 0.30
        else:
            return
        canvas.paint(WHOLE, canvas.inside(distance + self.frizz, 0.03), self.ink * np.float32(0.8), lit=False)

    def paint_cap(self) -> None:
        """Hair on the skull down to the hairline, with fringe; bald heads keep a little above the ears."""
        canvas, person, u, v = self.canvas, self.person, self.canvas.u, self.canvas.v
        if person.hair_style == "bald":
            if person.age > 0.5:
                sides = np.maximum(
                    head_distance(canvas, person, 0.02), 0.90 * person.head_width - np.abs(u) + 0.2 * np.abs(v)
                )
                distance = np.maximum(sides, np.abs(v + 0.1) - 0.3) + self.frizz
                canvas.paint(WHOLE, canvas.inside(distance, 0.05), self.ink, lit=False)
            return
        scalp = head_distance(canvas, person, person.hair_lift * (1.5 if person.hair_style == "curly" else 1.0))
        y, x = canvas.y, canvas.x
        top = person.hairline + 0.10 * person.parting * x
        temple = (0.88 if person.hair_style in ("short", "bun") else 0.82) * person.head_width
        bare = np.sqrt((x / temple) ** 2 + (np.minimum(y - 0.25, 0.0) / (0.25 - top)) ** 2)
        low = {"short": 0.12, "bun": 0.10, "long": 0.9, "curly": 0.35}[person.hair_style]
        distance = np.maximum(np.maximum(scalp, (1.0 - bare) * 0.6), canvas.v - low)
        distance = distance + self.frizz
        if self.scene.bangs:
            fringe = np.maximum(np.abs(x) - 0.86 * temple, y - (-0.29 + 0.035 * self.jag + 0.18 * person.parting * x))
            distance = np.minimum(distance, np.maximum(np.maximum(fringe, scalp), -0.95 - y))
        canvas.darken(WHOLE, canvas.inside(distance - 0.05, 0.09) * 0.35, (0.55, 0.5, 0.5))
        canvas.paint(WHOLE, canvas.inside(distance, 0.015), self.ink, lit=False)


def paint_beard(canvas: Canvas, person: Person, acts: Acts, rng: np.random.Generator) -> None:
    """Stubble, moustache, goatee or a full beard: dark grains on the skin, dense where hair is long."""
    if not person.beard and person.stubble < 0.05:
        return
    where = canvas.window(-0.8, 0.8, 0.0, 1.15)
    x, y = canvas.x[where], canvas.y[where]
    seam, half = mouth_curve(canvas, person, acts, where)
    lips = canvas.inside(
        np.maximum(np.abs(x) - half, np.abs(y - seam - 0.1 * acts.open) - person.lip * 1.1 - 0.15 * acts.open), 0.04
    )
    jaw = np.clip((np.maximum(y - 0.45, 0.0) + 1.1 * np.maximum(np.abs(x) - 0.47, 0.0) * (y > 0.05)) * 6, 0, 1)
    lip_top = np.exp(-(((y - 0.5 * (person.nose_base + seam)) / 0.062) ** 2)) * np.clip(
        (half * 1.15 - np.abs(x)) * 12, 0, 1
    )
    cover = person.stubble * 0.45 * np.maximum(jaw, lip_top)
    if "Mustache" in person.beard or person.beard == "full":
        cover = np.maximum(cover, np.clip(1.3 * lip_top, 0, 0.92))
    if "Goatee" in person.beard:
        chin = blob(x, y, (0.0, 0.90 + 0.1 * acts.open), 0.19, 0.15)
        ring = (
            np.exp(-(((np.abs(x) - half * 1.1) / 0.045) ** 2))
            * np.clip((y - 0.58) * 8, 0, 1)
            * np.clip((1.0 - y) * 8, 0, 1)
        )
        cover = np.maximum(cover, np.clip(1.6 * np.maximum(chin, 0.7 * ring), 0, 0.92))
    if person.beard == "full":
        cover = np.maximum(cover, 0.88 * jaw)
    grain = np.clip(0.85 + 0.22 * noise(rng, canvas.side, canvas.side // 2, canvas.side // 2)[where], 0.0, 1.0)
    on_head = canvas.inside(head_distance(canvas, person)[where] - (0.03 if person.beard == "full" else 0.0))
    canvas.paint(where, cover * grain * (1.0 - lips) * on_head, mix(person.hair, (0.14, 0.10, 0.08), 0.35))


def _strands(canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> Map:
    """Colour of lit hair at every pixel [S, S, 3]."""
    u, v = canvas.u, canvas.v
    along = np.sqrt(u**2 + v**2)
    if person.hair_style == "bun" or (person.hair_style == "short" and person.swept):
        across, length = np.arctan2(u, 0.30 + np.maximum(-v - 0.15, 0.0)), along
    else:  # strands fall from the parting
        out, down = u - 0.5 * np.float32(person.parting), np.maximum(v + 1.08, 0.0)
        across = np.arctan2(out, 0.16 + 0.8 * down) * (1.0 + 0.35 * down)
        length = np.sqrt(out**2 + down**2)
    if person.hair_style == "curly":
        side = canvas.side
        fine = noise(rng, side, side // 4, side // 4) + 0.6 * noise(rng, side, side // 2, side // 2)
    else:
        coarse, thin = noise(rng, GRAIN, 44, 5), noise(rng, GRAIN, GRAIN, 12)
        rows = ((across * 0.38 + 0.5 + 0.02 * np.sin(4 * length + person.parting)) * GRAIN).astype(np.intp) % GRAIN
        columns = ((length + 0.15 * np.sin(3 * across)) * 90).astype(np.intp) % GRAIN
        fine = (0.75 * coarse + 0.5 * thin)[rows, columns]
    gloss = np.exp(-(((along - 0.82 - 0.08 * scene.light[1]) / 0.14) ** 2)) * np.clip(
        0.6 + 1.0 * scene.light[0] * u - 0.5 * v, 0, 1.5
    )
    lit = scene.ambient * 0.85 + scene.diffuse * np.clip(0.55 + 0.45 * (scene.light[0] * u - 0.6 * v), 0.1, 1.1)
    ink = np.asarray(person.hair, np.float32) * (lit * np.clip(1.0 + 0.22 * fine, 0.35, 1.7))[..., None]
    return np.asarray(ink + (0.13 * gloss * np.clip(0.7 + 0.5 * fine, 0, 2) * scene.diffuse)[..., None], np.float32)
