"""Backdrop, shoulders, neck, ears and the lit skin of a synthetic head."""

from __future__ import annotations

import math

import numpy as np

from lssat.data.synthetic.canvas import WHOLE, Canvas, Map, blob, mix, noise
from lssat.data.synthetic.expression import Acts
from lssat.data.synthetic.traits import Person, Scene


def paint_backdrop(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """A gradient between two colours with blurred clutter."""
    side = canvas.side
    slope = 0.5 + 0.35 * (canvas.u * math.cos(rng.uniform(0, 6.3)) + canvas.v * math.sin(rng.uniform(0, 6.3)))
    cells = int(rng.integers(3, 9))
    slope = slope + rng.uniform(0.05, 0.5) * noise(rng, side, cells, cells)
    first, second = (np.asarray(colour, np.float32) for colour in scene.backdrop)
    canvas.rgb[:] = first + np.clip(slope, 0, 1)[..., None] * (second - first)
    canvas.rgb += rng.uniform(0.0, 0.03) * noise(rng, side, side // 3, side // 3)[..., None]


def paint_body(canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> None:
    """Neck and clothed shoulders, lit flatly from the side of the light."""
    u, v = canvas.u, canvas.v
    neck = (0.50 if person.jaw > 0.5 else 0.42) + 0.06 * person.jaw
    side_light = np.clip(scene.ambient + scene.diffuse * (0.55 + 0.5 * scene.light[0] * u), 0.1, 1.2)[..., None]
    under_chin = 1.0 - 0.5 * blob(u, v, (0.0, 0.95), 0.7, 0.30)[..., None]
    cover = canvas.inside(np.abs(u) - neck - 0.35 * np.maximum(v - 1.15, 0.0) ** 2) * (v > 0.2)
    canvas.paint(WHOLE, cover, np.asarray(person.skin, np.float32) * side_light * under_chin, lit=False)
    collar = 1.28 + rng.uniform(-0.06, 0.1)
    cut = rng.uniform(0.0, 0.25)
    shoulders = np.maximum(collar + 0.22 * u**2 - v, (1.32 + cut - 0.9 * np.abs(u) - v) * np.float32(0.8))
    pattern = noise(rng, canvas.side, int(rng.integers(4, 40)), int(rng.integers(4, 40)))
    cloth = np.asarray(scene.cloth, np.float32) * (1.0 + 0.08 * pattern[..., None]) * side_light
    canvas.paint(WHOLE, canvas.inside(shoulders, 0.02), cloth, lit=False)


def paint_skin(canvas: Canvas, person: Person, scene: Scene, acts: Acts, rng: np.random.Generator) -> Map:
    """Ears and the head itself; sets `canvas.shade` for everything that lies on the face.

    Returns the cover of the head [S, S].
    """
    distance = head_distance(canvas, person)
    canvas.shade = light_map(canvas, person, scene, acts, rng)
    for side in (-1.0, 1.0):
        _paint_ear(canvas, person, side)
    cover = canvas.inside(distance)
    canvas.paint(WHOLE, cover, _complexion(canvas, person, scene, rng))
    return cover


def head_distance(canvas: Canvas, person: Person, grow: float = 0.0) -> Map:
    """Signed distance, roughly, to an egg that narrows towards the chin; `grow` inflates it."""
    u, v = canvas.u, canvas.v
    low = np.clip((v - 0.05) / 0.95, 0.0, 1.0)
    half = person.head_width * (1.0 - (0.30 - 0.24 * person.jaw) * low**1.5)
    power = 2.0 + 0.5 * low
    radius = ((np.abs(u) / (half + grow)) ** power + (np.abs(v) / (1.0 + grow)) ** power) ** (1.0 / power)
    distance: Map = (radius - 1.0) * np.float32(person.head_width + grow)
    return distance


def light_map(canvas: Canvas, person: Person, scene: Scene, acts: Acts, rng: np.random.Generator) -> Map:
    """Lambert light [S, S, 3] on the relief of the face, ambient light included."""
    height = _relief(canvas, person, acts) + (0.0012 + 0.0016 * person.age) * _pores(canvas, rng)
    slope_v, slope_u = np.gradient(height, np.float32(canvas.pixel))
    light_u, light_v, light_z = scene.light  # of the room: the picture's axes, where the slopes are taken too
    facing = (light_z - light_u * slope_u - light_v * slope_v) / np.sqrt(1.0 + slope_u**2 + slope_v**2)
    lambert = np.maximum(0.85 * facing + 0.15, 0.0)
    bright = scene.ambient * (0.8 + 0.2 / np.sqrt(1.0 + slope_u**2 + slope_v**2)) + scene.diffuse * lambert
    tint = np.array([1.0 + scene.warmth, 1.0, 1.0 - scene.warmth], np.float32)
    # Light that enters skin leaves it redder, so shadows keep more red than blue.
    depth = np.array([0.86, 1.0, 1.08], np.float32)
    return np.asarray(tint * np.maximum(bright, 0.05)[..., None] ** depth, np.float32)


def _relief(canvas: Canvas, person: Person, acts: Acts) -> Map:
    x, y = canvas.x, canvas.y
    nose_x = x - 0.16 * np.float32(canvas.turn_x)  # the nose stands out, so it moves further when the head turns
    ball = 0.75 * np.sqrt(np.maximum(1.0 - (canvas.u / (person.head_width * 1.04)) ** 2 - (canvas.v / 1.06) ** 2, 0.02))
    tip, wide = person.nose_base - 0.06, person.nose_width
    rising, ending = np.clip((y + 0.12) / 0.5, 0, 1), np.clip((tip + 0.10 - y) / 0.1, 0, 1)
    height: Map = ball + 0.10 * np.exp(-((nose_x / (0.42 * wide + 0.02)) ** 2)) * rising * ending
    height += 0.10 * blob(nose_x, y, (0.0, tip), 0.55 * wide, 0.10)
    eyes, cheeks = np.abs(x) - person.eye_gap, np.abs(x) - 0.40
    height -= 0.075 * blob(eyes, y, (0.0, -0.03), 0.17, 0.11)
    height += 0.035 * np.exp(-(((y - person.brow_y) / 0.09) ** 2)) * np.clip(1.2 - np.abs(x) / 0.6, 0, 1)
    lifted = 0.30 - 0.05 * max(acts.cheek, 0.0)
    height += (0.05 + 0.05 * max(acts.cheek, 0.0)) * blob(cheeks, y, (0.0, lifted), 0.17, 0.15)
    height += 0.06 * blob(x, y, (0.0, 0.90 + 0.08 * acts.open), 0.16, 0.10)
    height += 0.035 * blob(x, y, (0.0, person.mouth_y), 0.30, 0.16)
    return height


def _pores(canvas: Canvas, rng: np.random.Generator) -> Map:
    side = canvas.side
    return 0.5 * noise(rng, side, side // 2, side // 2) + noise(rng, side, side // 5, side // 5)


def _paint_ear(canvas: Canvas, person: Person, side: float) -> None:
    edge = side * (person.head_width + 0.02 - 0.10 * side * canvas.turn_x)
    where = canvas.window(edge - 0.2, edge + 0.2, -0.3, 0.5)
    u, v = canvas.u[where] - edge, canvas.v[where] - 0.08
    radius = np.sqrt((u / 0.10) ** 2 + (v / 0.21) ** 2)
    red = mix(person.skin, (person.skin[0], person.skin[1] * 0.75, person.skin[2] * 0.72), 0.5)
    light = min(canvas.scene.ambient + 0.4 * canvas.scene.diffuse, 1.0)
    ink = np.asarray(red, np.float32) * (light * (0.62 + 0.38 * np.clip(np.abs(radius - 0.45) * 2.2, 0, 1)))[..., None]
    canvas.paint(where, canvas.inside((radius - 1) * 0.1, 0.01), ink, lit=False)


def _complexion(canvas: Canvas, person: Person, scene: Scene, rng: np.random.Generator) -> Map:
    """Albedo of bare skin [S, S, 3]: blotches, blush, freckles, wrinkles."""
    side, x, y = canvas.side, canvas.x, canvas.y
    skin: Map = np.asarray(person.skin, np.float32) * (1.0 + 0.025 * noise(rng, side, 14, 14)[..., None])
    cheeks = np.abs(x) - 0.43
    blush = blob(cheeks, y, (0.0, 0.27), 0.20, 0.16) * np.float32(0.12 + 0.88 * scene.rosy)
    blush += 0.25 * blob(x, y, (0.0, person.nose_base - 0.05), 0.12, 0.1)
    skin = skin * (1.0 - blush[..., None] * np.array([-0.02, 0.27, 0.24], np.float32))
    if person.freckles:
        spots = np.clip(noise(rng, side, side // 3, side // 3) - 0.9, 0, 1) * np.exp(-((y - 0.18) ** 2) / 0.12)
        spots *= np.float32(person.freckles)
        skin = skin * (1.0 - spots[..., None] * np.array([0.22, 0.34, 0.40], np.float32))
    if person.age > 0.5:
        skin = skin * (1.0 - (person.age - 0.4) * _wrinkles(canvas, rng)[..., None])
    return skin


def _wrinkles(canvas: Canvas, rng: np.random.Generator) -> Map:
    """Lines of age [S, S] in [0, 0.5]: forehead, crow's feet, under the eyes."""
    x, y = canvas.x, canvas.y
    wobble = 0.02 * noise(rng, canvas.side, 6, 6)
    lines = np.maximum(np.sin((y + wobble + 0.06 * x**2) * 62) - 0.35, 0.0) * blob(x, y, (0.0, -0.40), 0.42, 0.12)
    eyes = np.abs(x) - 0.56
    lines += np.maximum(np.sin(np.arctan2(y - 0.02, eyes + 0.18) * 11), 0.0) * blob(eyes, y, (0.0, 0.03), 0.08, 0.12)
    bags = np.clip((0.17 - np.abs(np.abs(x) - 0.32)) * 12, 0, 1)
    lines += 0.8 * np.exp(-(((y - 0.16 + 0.9 * (np.abs(x) - 0.32) ** 2 + wobble) / 0.025) ** 2)) * bags
    return np.asarray(0.5 * np.minimum(lines, 1.0), np.float32)
