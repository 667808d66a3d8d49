"""Facial acts of the eight emotions, after the action units of Ekman and Friesen's FACS (1978)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

EMOTIONS = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")


@dataclass(frozen=True, slots=True)
class Acts:
    """Strength of each act, 0 at rest, about 1 when full; signs as named."""

    brow_inner: float = 0.0  # up
    brow_outer: float = 0.0  # up
    brow_skew: float = 0.0  # right brow up (left, if negative)
    furrow: float = 0.0  # brows together
    upper_lid: float = 0.0  # up, eyes wide
    lower_lid: float = 0.0  # up, eyes narrowed
    corner_left: float = 0.0  # mouth corner up
    corner_right: float = 0.0
    width: float = 0.0  # mouth stretched
    open: float = 0.0  # jaw down
    teeth: float = 0.0  # bared
    lip_raise: float = 0.0  # upper lip up
    press: float = 0.0  # lips pressed
    nose_wrinkle: float = 0.0
    cheek: float = 0.0  # cheeks up


ACTS = tuple(field.name for field in fields(Acts))

# One dict per way of showing an emotion; contempt names its left side here and is mirrored half of the time.
WAYS: dict[str, tuple[dict[str, float], ...]] = {
    "Neutral": ({},),
    "Happiness": (
        {"corner_left": 1, "corner_right": 1, "width": 0.5, "cheek": 1, "lower_lid": 0.6, "open": 0.3, "teeth": 1},
        {"corner_left": 1, "corner_right": 1, "width": 0.35, "cheek": 0.8, "lower_lid": 0.5},
    ),
    "Sadness": (
        {"brow_inner": 1, "brow_outer": -0.5, "corner_left": -1, "corner_right": -1, "upper_lid": -0.6, "furrow": 0.4},
        {"brow_inner": 0.9, "brow_outer": -0.7, "corner_left": -0.9,
         "corner_right": -0.9, "upper_lid": -0.8, "width": -0.2, "press": 0.4},
    ),
    "Surprise": (
        {"brow_inner": 1, "brow_outer": 1, "upper_lid": 0.9, "open": 1, "width": -0.5},
        {"brow_inner": 1.1, "brow_outer": 1.1, "upper_lid": 1, "open": 0.6, "width": -0.35},
    ),
    "Fear": (
        {"brow_inner": 1.1, "brow_outer": 0.1, "furrow": 0.8, "upper_lid": 1,
         "width": 0.7, "open": 0.35, "teeth": 0.8, "corner_left": -0.5, "corner_right": -0.5},
        {"brow_inner": 1.1, "brow_outer": 0.2, "furrow": 0.8, "upper_lid": 1,
         "width": 0.6, "open": 0.55, "teeth": 0.4, "corner_left": -0.6, "corner_right": -0.6},
    ),
    "Disgust": (
        {"brow_inner": -0.7, "brow_outer": -0.5, "lower_lid": 1, "upper_lid": -0.8,
         "nose_wrinkle": 1, "lip_raise": 1.1, "teeth": 0.6, "corner_left": -0.5, "corner_right": -0.5},
        {"brow_inner": -0.6, "brow_outer": -0.6, "lower_lid": 1, "upper_lid": -0.8,
         "nose_wrinkle": 1, "lip_raise": 1.1, "open": 0.2, "teeth": 1, "cheek": 0.5},
    ),
    "Anger": (
        {"brow_inner": -1, "brow_outer": 0.4, "furrow": 1,
         "upper_lid": 0.3, "press": 1, "corner_left": -0.2, "corner_right": -0.2},
        {"brow_inner": -1, "brow_outer": 0.5, "furrow": 1, "upper_lid": 0.4,
         "open": 0.5, "teeth": 1, "width": 0.2, "corner_left": -0.3, "corner_right": -0.3},
    ),
    "Contempt": ({"corner_left": 1.1, "corner_right": -0.45, "press": 0.7, "brow_skew": -1.7, "upper_lid": -0.9},),
}  # fmt: skip


def draw_acts(emotion: str, rng: np.random.Generator) -> Acts:
    """One showing of an emotion: a way, an intensity and small deviations of every act."""
    way = WAYS[emotion][rng.integers(len(WAYS[emotion]))]
    intensity = rng.uniform(0.82, 1.15)
    values = {name: way.get(name, 0.0) * intensity * rng.uniform(0.8, 1.2) + rng.normal(0, 0.06) for name in ACTS}
    if rng.random() < 0.5:
        values["corner_left"], values["corner_right"] = values["corner_right"], values["corner_left"]
        values["brow_skew"] *= -1.0
    for name in ("open", "teeth", "press", "nose_wrinkle", "lip_raise"):
        values[name] = max(values[name] - 0.05, 0.0)
    return Acts(**values)


def draw_mood(smiling: bool, mouth_open: bool, rng: np.random.Generator) -> Acts:
    """Acts that fit the attributes Smiling and Mouth_Slightly_Open, and otherwise wander."""
    corner, smile = (rng.uniform(0.6, 1.1), rng.uniform(0.4, 1.0)) if smiling else (rng.uniform(-0.5, 0.05), 0.0)
    jaw = rng.uniform(0.25, 0.5) if mouth_open else 0.0
    return Acts(
        brow_inner=rng.normal(0, 0.3),
        brow_outer=rng.normal(0, 0.3),
        upper_lid=rng.normal(0, 0.25),
        lower_lid=0.5 * smile,
        corner_left=corner + rng.normal(0, 0.08),
        corner_right=corner + rng.normal(0, 0.08),
        width=0.4 * smile + rng.normal(0, 0.1),
        open=jaw,
        teeth=(0.9 if smiling else rng.uniform(0.1, 0.8)) if mouth_open else 0.0,
        press=0.0 if mouth_open else rng.uniform(0, 0.3),
        cheek=smile,
    )
