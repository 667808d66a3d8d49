"""Who a synthetic face is, what it wears and how it is seen: drawn from attributes with CelebA's names.

A person (identity) keeps bones, skin and hair; an occasion (image) brings glasses, hat, make-up, mood and camera.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Attributes = Mapping[str, bool]
Colour = tuple[float, float, float]

ATTRIBUTES = (
    "Bald", "Bangs", "Big_Nose", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Goatee",
    "Gray_Hair", "Male", "Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Rosy_Cheeks", "Smiling",
    "Wearing_Hat", "Wearing_Lipstick", "Young",
)  # fmt: skip

SKIN_TONES: tuple[Colour, ...] = (
    (0.96, 0.86, 0.79),
    (0.93, 0.77, 0.67),
    (0.87, 0.67, 0.54),
    (0.76, 0.55, 0.41),
    (0.61, 0.41, 0.29),
    (0.46, 0.30, 0.21),
    (0.34, 0.22, 0.16),
)
HAIR_COLOURS: dict[str, tuple[Colour, ...]] = {
    "Black_Hair": ((0.07, 0.06, 0.06), (0.11, 0.09, 0.08)),
    "Brown_Hair": ((0.30, 0.18, 0.10), (0.40, 0.24, 0.13), (0.42, 0.20, 0.10)),
    "Blond_Hair": ((0.85, 0.69, 0.41), (0.78, 0.60, 0.34), (0.90, 0.79, 0.55)),
    "Gray_Hair": ((0.62, 0.62, 0.62), (0.74, 0.73, 0.72), (0.50, 0.50, 0.52)),
}
IRIS_COLOURS: tuple[Colour, ...] = (
    (0.22, 0.13, 0.07),
    (0.33, 0.20, 0.10),
    (0.27, 0.40, 0.55),
    (0.30, 0.43, 0.30),
    (0.42, 0.45, 0.48),
)


@dataclass(frozen=True, slots=True)
class Person:
    """What an identity keeps. Lengths in half heights of the head, colours RGB in [0, 1]."""

    age: float
    skin: Colour
    freckles: float
    head_width: float
    jaw: float
    eye_gap: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    iris: Colour
    brow_y: float
    brow_thick: float
    brow_arch: float
    nose_width: float
    nose_base: float
    mouth_y: float
    mouth_width: float
    lip: float
    rest_corner: float
    rest_brow: float
    hair: Colour
    hair_style: str
    hair_lift: float
    hair_length: float
    hairline: float
    parting: float
    swept: bool
    beard: str
    stubble: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Pose (radians; scale and shifts in half sides of the picture), light, and what is worn on this occasion."""

    roll: float
    yaw: float
    pitch: float
    scale: float
    shift_x: float
    shift_y: float
    light: tuple[float, float, float]
    ambient: float
    diffuse: float
    warmth: float
    glasses: str
    hat: str
    lipstick: Colour | None
    rosy: float
    earrings: bool
    bangs: bool
    cloth: Colour
    backdrop: tuple[Colour, Colour]
    gaze: tuple[float, float]


def draw_person_attributes(rng: np.random.Generator) -> dict[str, bool]:
    """The attributes that an identity keeps, with plausible correlations."""
    male, young = _bernoulli(rng, 0.5), _bernoulli(rng, 0.6)
    bald = male and _bernoulli(rng, 0.12 if young else 0.32)
    colour = str(rng.choice(list(HAIR_COLOURS), p=[0.36, 0.36, 0.28, 0.0] if young else [0.2, 0.2, 0.15, 0.45]))
    mustache, goatee = male and _bernoulli(rng, 0.28), male and _bernoulli(rng, 0.28)
    return {
        "Male": male,
        "Young": young,
        "Bald": bald,
        **{name: name == colour and not bald for name in HAIR_COLOURS},
        "Mustache": mustache,
        "Goatee": goatee,
        "No_Beard": not mustache and not goatee and not (male and _bernoulli(rng, 0.2)),
        "Bangs": not bald and _bernoulli(rng, 0.15 if male else 0.4),
        "Big_Nose": _bernoulli(rng, 0.45 if male else 0.2),
        "Bushy_Eyebrows": _bernoulli(rng, 0.4 if male else 0.15),
        "Pale_Skin": _bernoulli(rng, 0.22),
    }


def draw_occasion_attributes(person: Attributes, rng: np.random.Generator) -> dict[str, bool]:
    """All attributes of one image of a person."""
    male, young = person["Male"], person["Young"]
    hat = not person["Bald"] and _bernoulli(rng, 0.15)
    smiling = _bernoulli(rng, 0.48)
    occasion = {
        **person,
        "Eyeglasses": _bernoulli(rng, 0.18 if young else 0.3),
        "Wearing_Hat": hat,
        "Bangs": person["Bangs"] and not hat,
        "Smiling": smiling,
        "Mouth_Slightly_Open": _bernoulli(rng, 0.6 if smiling else 0.35),
        "Wearing_Lipstick": not male and _bernoulli(rng, 0.55),
        "Rosy_Cheeks": _bernoulli(rng, 0.08 if male else 0.28),
    }
    return {name: occasion[name] for name in ATTRIBUTES}


def draw_person(attributes: Attributes, rng: np.random.Generator) -> Person:
    """Bones, skin and hair that fit the attributes."""
    male, young = attributes["Male"], attributes["Young"]
    age = rng.uniform(0.0, 0.4) if young else rng.uniform(0.6, 1.0)
    colour = next((name for name in HAIR_COLOURS if attributes[name]), "Brown_Hair")
    hair = HAIR_COLOURS[colour][rng.integers(len(HAIR_COLOURS[colour]))]
    fade = rng.uniform(0.75, 1.25)
    tone = rng.uniform(0.0, 0.25) if attributes["Pale_Skin"] else _skin_tone(colour, rng)
    return Person(
        age=age,
        skin=_skin(tone, attributes["Pale_Skin"], rng),
        freckles=rng.uniform(0.3, 1.0) if tone < 2.5 and _bernoulli(rng, 0.3) else 0.0,
        head_width=rng.normal(0.75 if male else 0.715, 0.03),
        jaw=float(np.clip(rng.normal(0.62 if male else 0.42, 0.13), 0.15, 0.95)),
        eye_gap=rng.normal(0.315, 0.014),
        eye_width=rng.normal(0.160 if male else 0.170, 0.008),
        eye_open=rng.normal(0.40 if male else 0.45, 0.04),
        eye_tilt=rng.normal(0.05, 0.06),
        iris=IRIS_COLOURS[rng.integers(2 if tone > 3 else len(IRIS_COLOURS))],
        brow_y=rng.normal(-0.215, 0.02),
        brow_thick=rng.uniform(0.062, 0.082) if attributes["Bushy_Eyebrows"] else rng.uniform(0.024, 0.040),
        brow_arch=rng.normal(0.03 if male else 0.055, 0.015),
        nose_width=rng.uniform(0.205, 0.245) if attributes["Big_Nose"] else rng.uniform(0.125, 0.16),
        nose_base=rng.normal(0.385, 0.02) + 0.03 * attributes["Big_Nose"],
        mouth_y=rng.normal(0.635, 0.02),
        mouth_width=rng.normal(0.285, 0.018),
        lip=rng.uniform(0.04, 0.06) if male else rng.uniform(0.055, 0.08),
        rest_corner=rng.normal(0.0, 0.012),
        rest_brow=rng.normal(0.0, 0.014),
        hair=(hair[0] * fade, hair[1] * fade, hair[2] * fade),
        hair_style=_hair_style(attributes, rng),
        hair_lift=rng.uniform(0.05, 0.16),
        hair_length=rng.uniform(0.35, 1.7),
        hairline=rng.normal(-0.55, 0.04) - (0.1 * age if male else 0.0),
        parting=rng.normal(0.0, 0.45),
        swept=_bernoulli(rng, 0.4),
        beard=_beard(attributes),
        stubble=rng.uniform(0.0, 0.45) if male else 0.0,
    )


def draw_scene(attributes: Attributes, rng: np.random.Generator) -> Scene:
    """Camera, light and accessories that fit the attributes."""
    azimuth, elevation = math.radians(rng.uniform(-55, 55)), math.radians(rng.uniform(-5, 55))
    lips = ((0.75, 0.12, 0.18), (0.82, 0.25, 0.35), (0.55, 0.08, 0.16), (0.85, 0.30, 0.25))
    return Scene(
        roll=math.radians(float(np.clip(rng.normal(0, 6), -16, 16))),
        yaw=math.radians(float(np.clip(rng.normal(0, 7), -18, 18))),
        pitch=math.radians(float(np.clip(rng.normal(0, 3.5), -9, 9))),
        scale=rng.uniform(0.90, 1.06),
        shift_x=rng.uniform(-0.1, 0.1),
        shift_y=rng.uniform(-0.11, 0.07),
        light=(math.sin(azimuth) * math.cos(elevation), -math.sin(elevation), math.cos(azimuth) * math.cos(elevation)),
        ambient=rng.uniform(0.42, 0.62),
        diffuse=rng.uniform(0.5, 0.8),
        warmth=rng.normal(0.0, 0.05),
        glasses=str(rng.choice(["round", "square", "dark"], p=[0.46, 0.46, 0.08])) if attributes["Eyeglasses"] else "",
        hat=str(rng.choice(["cap", "beanie", "brim"])) if attributes["Wearing_Hat"] else "",
        lipstick=lips[rng.integers(len(lips))] if attributes["Wearing_Lipstick"] else None,
        rosy=rng.uniform(0.7, 1.0) if attributes["Rosy_Cheeks"] else rng.uniform(0.0, 0.15),
        earrings=not attributes["Male"] and _bernoulli(rng, 0.4),
        bangs=attributes["Bangs"],
        cloth=_any_colour(rng, 0.14),
        backdrop=(_any_colour(rng, 0.08), _any_colour(rng, 0.08)),
        gaze=(rng.normal(0, 0.12), rng.normal(0, 0.05)),
    )


def _bernoulli(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _skin_tone(hair: str, rng: np.random.Generator) -> float:
    """Position on SKIN_TONES; darker skin goes with black hair more often."""
    top = {"Black_Hair": 6.0, "Brown_Hair": 4.5, "Gray_Hair": 5.5, "Blond_Hair": 2.5}[hair]
    return rng.uniform(0.9, top)


def _skin(tone: float, pale: bool, rng: np.random.Generator) -> Colour:
    low = min(int(tone), len(SKIN_TONES) - 2)
    base = np.array(SKIN_TONES[low]) + (tone - low) * (np.array(SKIN_TONES[low + 1]) - np.array(SKIN_TONES[low]))
    red, green, blue = np.clip(base + rng.normal(0, 0.012, 3) + (0.01 if pale else 0.0), 0.05, 0.98)
    return float(red), float(green), float(blue)


def _hair_style(attributes: Attributes, rng: np.random.Generator) -> str:
    if attributes["Bald"]:
        return "bald"
    if attributes["Male"]:
        return str(rng.choice(["short", "curly", "long"], p=[0.72, 0.18, 0.10]))
    return str(rng.choice(["short", "curly", "long", "bun"], p=[0.15, 0.17, 0.50, 0.18]))


def _beard(attributes: Attributes) -> str:
    if attributes["No_Beard"]:
        return ""
    parts = [name for name in ("Mustache", "Goatee") if attributes[name]]
    return "+".join(parts) or "full"


def _any_colour(rng: np.random.Generator, vivid: float) -> Colour:
    grey = rng.uniform(0.1, 0.85)
    red, green, blue = np.clip(grey + rng.normal(0, vivid, 3), 0.03, 0.97)
    return float(red), float(green), float(blue)
