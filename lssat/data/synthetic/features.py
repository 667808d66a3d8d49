"""Eyes, brows, nose and mouth of a synthetic face, moved by its acts.

Distances are in half heights of the head, y downwards.
"""

from __future__ import annotations

import numpy as np

from lssat.data.synthetic.canvas import Canvas, Map, Window, blob, mix
from lssat.data.synthetic.expression import Acts
from lssat.data.synthetic.traits import Colour, Person, Scene

SIDES = (-1.0, 1.0)


def paint_eyes(canvas: Canvas, person: Person, scene: Scene, acts: Acts) -> None:
    """Lids, sclera, iris with its dark rim, pupil, highlight and lashes."""
    for side in SIDES:
        _paint_eye(canvas, person, scene, acts, side)


def paint_brows(canvas: Canvas, person: Person, acts: Acts, rng: np.random.Generator) -> None:
    """Two arcs of hair; their inner and outer ends move separately."""
    dark = mix(person.hair, (0.12, 0.09, 0.07), 0.45)
    for side in SIDES:
        where = canvas.window(min(side * 0.02, side * 0.68), max(side * 0.02, side * 0.68), -0.62, 0.08)
        along, drop, thick = _brow_frame(canvas, person, acts, side, where)
        grain = 0.82 + 0.2 * rng.standard_normal(along.shape, dtype=np.float32)
        cover = canvas.inside(np.abs(drop) - thick, 0.018) * (np.abs(along) < 1.02) * np.clip(grain, 0.2, 1.0)
        canvas.paint(where, cover, dark)


def paint_nose(canvas: Canvas, person: Person, acts: Acts) -> None:
    """Nostrils, wings, the shadow below, and the wrinkles of disgust; the bridge is relief."""
    where = canvas.window(-0.42, 0.42, -0.2, 0.62)
    x, y = canvas.x[where] - 0.16 * np.float32(canvas.turn_x), canvas.y[where]
    wide, base = person.nose_width, person.nose_base - 0.03 * acts.nose_wrinkle
    wings = np.abs(x) - wide
    canvas.darken(where, 0.55 * blob(wings, y, (0.0, base - 0.05), 0.022, 0.055), (0.62, 0.52, 0.48))
    canvas.darken(where, 0.6 * blob(x, y, (0.0, base + 0.055), wide * 0.9, 0.035), (0.72, 0.62, 0.60))
    holes = blob(np.abs(x) - 0.55 * wide, y, (0.0, base + 0.005), 0.042, 0.022)
    canvas.darken(where, np.clip(1.3 * holes, 0, 1), (0.32, 0.20, 0.18))
    if acts.nose_wrinkle > 0.1:
        lines = np.maximum(np.sin(y * 58 + 14 * np.abs(x)), 0.0) * blob(x, y, (0.0, 0.05), 0.20, 0.16)
        canvas.darken(where, np.clip(acts.nose_wrinkle, 0, 1.2) * 0.8 * lines, (0.42, 0.32, 0.30))
    if acts.furrow > 0.15:
        lines = blob(np.abs(x) - 0.045, y, (0.0, person.brow_y), 0.018, 0.10)
        canvas.darken(where, np.clip(acts.furrow, 0, 1) * 0.75 * lines, (0.5, 0.42, 0.4))


def paint_folds(canvas: Canvas, person: Person, acts: Acts) -> None:
    """The folds from nose to mouth corners: age, smiles, disgust."""
    where = canvas.window(-0.6, 0.6, 0.2, 0.95)
    x, y = canvas.x[where], canvas.y[where]
    for side, corner in zip(SIDES, (acts.corner_left, acts.corner_right), strict=True):
        depth = 0.12 + 0.35 * person.age + 0.5 * max(corner, 0.0) + 0.8 * acts.nose_wrinkle
        share = (y - person.nose_base + 0.06) / 0.30
        path = side * (person.nose_width + 0.03 + (0.15 + 0.05 * max(corner, 0.0)) * share)
        cover = np.exp(-(((x - path) / 0.03) ** 2)) * np.clip(share * 4, 0, 1) * np.clip((1.05 - share) * 4, 0, 1)
        canvas.darken(where, np.float32(min(depth, 1.0)) * cover, (0.70, 0.60, 0.56))


def paint_mouth(canvas: Canvas, person: Person, scene: Scene, acts: Acts) -> None:
    """Lips around a seam or an opening with teeth and tongue."""
    where = canvas.window(-0.55, 0.55, 0.3, 1.12)
    seam, half = mouth_curve(canvas, person, acts, where)
    t = canvas.x[where] / half
    bow = np.clip(1.0 - t**2, 0.0, 1.0)
    top, bottom = _opening(acts)
    thin = 1.0 - 0.75 * min(acts.press, 1.0)
    upper_lip = person.lip * thin * (bow - 0.28 * np.exp(-((t / 0.16) ** 2)))
    upper = seam - top * bow - upper_lip - 0.055 * acts.lip_raise * bow**2
    lower = seam + bottom * bow + 1.15 * person.lip * thin * bow**0.7
    y, inside = canvas.y[where], np.abs(t) < 1.0
    cover = canvas.inside(np.maximum(upper - y, y - lower), 0.015) * inside
    canvas.paint(where, cover * (0.92 if scene.lipstick else 0.62), _lip_colour(person, scene))
    canvas.darken(where, blob(t, y - seam, (0.0, bottom + 1.6 * person.lip), 0.5, 0.03) * 0.5, (0.75, 0.68, 0.66))
    if bottom + top > 0.03:
        _paint_opening(canvas, acts, where, seam, t)
    else:
        canvas.darken(where, np.exp(-(((y - seam) / 0.018) ** 2)) * inside * 0.9, (0.38, 0.28, 0.27))
    corners = sum(np.exp(-(((t - side) / 0.09) ** 2) - ((y - seam) / 0.03) ** 2) for side in SIDES)
    canvas.darken(where, 0.6 * np.asarray(corners, np.float32), (0.5, 0.4, 0.38))


def mouth_curve(canvas: Canvas, person: Person, acts: Acts, where: Window) -> tuple[Map, float]:
    """Height of the seam between the lips over the window, and half the width of the mouth."""
    smile = 0.5 * (acts.corner_left + acts.corner_right)
    half = person.mouth_width * (1.0 + 0.32 * acts.width + 0.08 * max(smile, 0.0))
    t = np.clip(canvas.x[where] / half, -1.3, 1.3)
    lift = np.where(t < 0, acts.corner_left, acts.corner_right) * np.float32(0.15) + person.rest_corner
    middle = person.mouth_y + 0.03 * max(smile, 0.0) - 0.02 * max(-smile, 0.0) - 0.02 * acts.lip_raise
    return np.asarray(middle - lift * np.abs(t) ** 1.6, np.float32), half


def landmarks(person: Person, acts: Acts) -> list[tuple[float, float]]:
    """Points of the face's frame on jaw, brows, eyes, nose and mouth, in that order (25 points)."""
    jaw = [(0.92 * person.head_width * np.sin(a), 0.15 + 0.80 * np.cos(a)) for a in np.linspace(-1.5, 1.5, 9)]
    brows = [(s * x, person.brow_y - 0.08 * acts.brow_outer) for s in SIDES for x in (0.16, 0.48)]
    eyes = [(s * (person.eye_gap + d * person.eye_width), 0.0) for s in SIDES for d in (-1, 1)]
    nose = [(0.0, 0.0), *((share * person.nose_width, person.nose_base) for share in (-1, 0, 1))]
    top, bottom = _opening(acts)
    low = person.mouth_y + bottom + person.lip
    high, wide = person.mouth_y - top - person.lip, person.mouth_width
    mouth = [(-wide, person.mouth_y), (wide, person.mouth_y), (0.0, high), (0.0, low)]
    return [(float(x), float(y)) for x, y in [*jaw, *brows, *eyes, *nose, *mouth]]


def _paint_eye(canvas: Canvas, person: Person, scene: Scene, acts: Acts, side: float) -> None:
    wide = person.eye_width
    centre = side * person.eye_gap
    where = canvas.window(centre - 0.3, centre + 0.3, -0.3, 0.3)
    ex = (canvas.x[where] - centre) * np.float32(side / wide)  # -1 at the inner corner, 1 at the outer one
    ey = canvas.y[where] / np.float32(wide) + person.eye_tilt * ex
    arc = np.clip(1.0 - ex**2, 0.0, 1.0)
    height = person.eye_open * (1.0 + 0.55 * np.clip(acts.upper_lid, -1.2, 1.2))
    upper = -1.25 * height * arc**0.75
    narrowed = 1.0 - 0.6 * np.clip(acts.lower_lid, 0, 1.2) + 0.2 * max(acts.upper_lid, 0.0)
    lower = 0.75 * person.eye_open * narrowed * arc**0.9
    soft = 0.06 * wide
    open_cover = canvas.inside(np.maximum(upper - ey, ey - lower) * wide, soft) * (np.abs(ex) < 1)
    canvas.darken(where, 0.45 * blob(ex, ey, (0.0, -0.15), 1.15, 0.8), (0.80, 0.70, 0.68))
    shadow = 0.75 + 0.25 * np.clip((ey - upper) / 0.35, 0, 1)
    canvas.paint(where, open_cover, np.array([0.93, 0.91, 0.89], np.float32) * shadow[..., None])
    gx, gy = ex - side * scene.gaze[0], ey + 0.06 - scene.gaze[1]
    radius = np.sqrt(gx**2 + gy**2)
    rim, rays = np.clip((radius - 0.30) / 0.18, 0, 1), np.sin(11 * np.arctan2(gy, gx))
    iris = np.asarray(person.iris, np.float32) * (1.25 - 0.95 * rim + 0.2 * rays)[..., None]
    canvas.paint(where, open_cover * canvas.inside((radius - 0.47) * wide, soft), iris * shadow[..., None])
    canvas.paint(where, open_cover * canvas.inside((radius - 0.20) * wide, soft), (0.03, 0.03, 0.03))
    glint = blob(gx, gy, (0.18 * np.sign(scene.light[0]), -0.18), 0.13, 0.13)
    canvas.paint(where, open_cover * np.clip(1.4 * glint, 0, 1), (1.0, 1.0, 1.0), lit=False)
    lash = (0.10, 0.07, 0.06)
    within = np.clip((1.08 - np.abs(ex)) * 8, 0, 1)
    canvas.paint(where, np.exp(-(((ey - upper) / 0.13) ** 2)) * within * 0.9, lash)
    canvas.darken(where, np.exp(-(((ey - lower - 0.05) / 0.09) ** 2)) * within * 0.55, (0.55, 0.45, 0.43))
    crease = np.exp(-(((ey - upper + 0.30 - 0.1 * person.age) / 0.09) ** 2))
    canvas.darken(where, crease * within * 0.5, (0.55, 0.45, 0.42))
    pouch = np.exp(-(((ey - lower - 0.42) / 0.12) ** 2))
    depth = np.clip(max(acts.lower_lid, 0.0) + 0.4 * person.age, 0, 1)
    canvas.darken(where, pouch * within * np.float32(0.45 * depth), (0.6, 0.5, 0.48))


def _brow_frame(canvas: Canvas, person: Person, acts: Acts, side: float, where: Window) -> tuple[Map, Map, Map]:
    """Position along the brow (-1 inner end, 1 outer end), height below its middle line, and half its thickness."""
    start, end = 0.115 - 0.045 * np.clip(acts.furrow, -0.5, 1.2), 0.52
    along = (side * canvas.x[where] - np.float32(0.5 * (start + end))) / np.float32(0.5 * (end - start))
    inner, outer = np.clip(0.5 - 0.5 * along, 0.0, 1.1), np.clip(0.5 + 0.5 * along, 0.0, 1.1)
    lift = 0.145 * (acts.brow_inner * inner**1.3 + acts.brow_outer * outer) + person.rest_brow * along
    lift += 0.14 * max(side * acts.brow_skew, 0.0) - 0.03 * max(-side * acts.brow_skew, 0.0)
    middle = person.brow_y - person.brow_arch * (1.0 - (along - 0.35) ** 2) - lift
    tapered = np.clip(1.05 - 0.45 * np.clip(along, -1, 1), 0.3, 1.3)
    thick = person.brow_thick * tapered * np.clip((along + 1.15) * 4, 0, 1) * 0.8
    return along, np.asarray(canvas.y[where] - middle, np.float32), np.asarray(thick, np.float32)


def _opening(acts: Acts) -> tuple[float, float]:
    """Heights of the opening above and below the seam, at the middle of the mouth."""
    return 0.05 * acts.open + 0.055 * acts.lip_raise * (acts.teeth > 0.3), 0.25 * acts.open


def _lip_colour(person: Person, scene: Scene) -> Colour:
    red, green, blue = person.skin
    bare = (0.86 * red + 0.02, 0.58 * green, 0.60 * blue)
    return mix(bare, scene.lipstick, 0.8) if scene.lipstick else bare


def _paint_opening(canvas: Canvas, acts: Acts, where: Window, seam: Map, t: Map) -> None:
    """The dark of the mouth, the tongue and the teeth; `t` is the position along the lips, -1 to 1."""
    y, (top, bottom) = canvas.y[where], _opening(acts)
    bow = np.clip(1.0 - t**2, 0.0, 1.0)
    upper, lower = seam - top * bow, seam + bottom * bow
    gap = canvas.inside(np.maximum(upper - y, y - lower), 0.01) * (np.abs(t) < 1)
    canvas.paint(where, gap, (0.22, 0.06, 0.06))
    canvas.paint(where, gap * 0.8 * canvas.inside(lower - 0.4 * bottom * bow - y, 0.03), (0.60, 0.22, 0.22))
    if acts.teeth > 0.15:
        reach = upper + min(0.085, 0.75 * (top + bottom)) * np.clip(acts.teeth, 0, 1) * np.sqrt(bow)
        gaps = 1.0 - 0.18 * np.maximum(np.cos(t * 26), 0.0) ** 4
        enamel = np.array([0.92, 0.89, 0.83], np.float32) * gaps[..., None]
        canvas.paint(where, gap * canvas.inside(y - reach, 0.01), enamel)
