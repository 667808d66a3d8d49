"""Synthetic faces with known labels, rendered from a seed.

`python -m lssat.tools.synthetic_page` draws a page of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from lssat.data.parallel import chunks, in_processes
from lssat.data.synthetic.camera import add_blur_and_grain, canvas_side, capture, encode, resample
from lssat.data.synthetic.expression import EMOTIONS, Acts, draw_acts, draw_mood
from lssat.data.synthetic.methods import BORROWING, METHODS, Forgery, forge, traced
from lssat.data.synthetic.render import render
from lssat.data.synthetic.traits import (
    ATTRIBUTES,
    draw_occasion_attributes,
    draw_person,
    draw_person_attributes,
    draw_scene,
)
from lssat.data.synthetic.untouched import untouched_face
from lssat.errors import ConfigError

KINDS = {"emotion": "multiclass", "attributes": "multilabel", "deepfake": "binary"}
CLASSES: dict[str, tuple[str, ...]] = {"emotion": EMOTIONS, "attributes": ATTRIBUTES, "deepfake": ("real", "fake")}
SPLITS = ("train", "val", "test")
NUM_HELD_OUT = 800  # images in each of val and test
IMAGES_PER_IDENTITY = 4
TRAIN_COUNTS = (74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750)
"""Training images of each emotion in AffectNet."""
LEAST_PER_CLASS = 20
DRAWN_AT_ONCE = 40  # images that a process draws before it hands them over: whole groups of a real face and its fakes
MADE = ("", *METHODS)
"""How an image of the deepfake task is made; "": it is real."""
PER_FACE = {"train": len(MADE), "val": 2, "test": 2}
"""Images of each person of the deepfake task: a real one and fakes of it. In training there is one by each method, as
in FaceForensics++.
"""


class SyntheticRow(NamedTuple):
    """One image: JPEG bytes, its label (class index, or one 0/1 per attribute), who it shows, and its split.

    In deepfake detection a real image and the fakes that are made of it have their identity for themselves. `method`:
    how a fake was made. `source`: the identity whose features it has, where that is another one.
    """

    image: bytes
    label: int | tuple[int, ...]
    identity: str
    split: str
    method: str = ""
    source: str = ""


class Order(NamedTuple):
    """What to draw. `label` is the class, for attributes the one that must be present (-1: none), for the deepfake task
    a position in MADE.

    `position`: of the image in its split. Images of the same identity follow each other.
    """

    task: str
    seed: int
    split: str
    position: int
    label: int
    image_size: int


def generate(task: str, num_train: int, image_size: int, seed: int) -> Iterator[SyntheticRow]:
    """All rows of a task, train first, drawn in the processes of this machine.

    Raises ConfigError for an unknown task.
    """
    orders = plan(task, num_train, image_size, seed)
    return chain.from_iterable(in_processes(_draw_all, chunks(orders, DRAWN_AT_ONCE)))


def plan(task: str, num_train: int, image_size: int, seed: int) -> list[Order]:
    """Orders of every split. Raises ConfigError for an unknown task.

    Training classes are as unequal as in the data set they stand for; val and test are balanced.
    """
    if task not in KINDS:
        raise ConfigError(f"unknown synthetic task {task!r}; known: {', '.join(KINDS)}")
    orders: list[Order] = []
    for split, count in zip(SPLITS, (num_train, NUM_HELD_OUT, NUM_HELD_OUT), strict=True):
        rng = np.random.default_rng([seed, _code(task), SPLITS.index(split)])
        labels = _labels(task, split, count, rng)
        orders += [Order(task, seed, split, position, label, image_size) for position, label in enumerate(labels)]
    return orders


def draw(order: Order, planted: bool = True) -> SyntheticRow:
    """Render one order; everything random comes from seed, task, split, identity and position.

    `planted`: fakes have the traces of their methods, if these leave any.
    """
    if order.task == "deepfake":
        return _draw_real_or_fake(order, planted)
    person_rng, rng = _generators(order)
    traits, attributes = draw_attributes(order, person_rng, rng)
    person, scene = draw_person(traits, person_rng), draw_scene(attributes, rng)
    portrait = render(person, scene, _acts(order, attributes, rng), canvas_side(order.image_size), rng)
    picture = add_blur_and_grain(capture(portrait.rgb, order.image_size, rng), rng)
    label = tuple(int(attributes[name]) for name in ATTRIBUTES) if order.task == "attributes" else order.label
    image = encode(picture, quality=int(rng.integers(82, 96)))
    return SyntheticRow(image, label, f"{order.split}-{order.position // IMAGES_PER_IDENTITY:05d}", order.split)


def draw_attributes(
    order: Order, person_rng: np.random.Generator, rng: np.random.Generator
) -> tuple[dict[str, bool], dict[str, bool]]:
    """Attributes of the person and of the occasion; draws are repeated until the ordered attribute is present."""
    wanted = ATTRIBUTES[order.label] if order.task == "attributes" and order.label >= 0 else None
    while True:
        traits = draw_person_attributes(person_rng)
        if wanted is None or draw_occasion_attributes(traits, person_rng)[wanted]:
            break
    while True:
        attributes = draw_occasion_attributes(traits, rng)
        if wanted is None or attributes[wanted]:
            return traits, attributes


def _draw_all(orders: list[Order]) -> list[SyntheticRow]:
    return [draw(order) for order in orders]


def _draw_real_or_fake(order: Order, planted: bool) -> SyntheticRow:
    """Who lends a face is the person beside the one shown, as in the pairs of FaceForensics++."""
    key = (order.seed, _code(order.task), SPLITS.index(order.split))
    rng = np.random.default_rng([*key, 1, order.position])
    person, method = order.position // PER_FACE[order.split], MADE[order.label]
    donor = person ^ 1 if method in BORROWING else person
    face, lent = (untouched_face((*key, 0, number), order.image_size) for number in (person, donor))
    made = forge(method, face, lent, rng) if method else Forgery(face.picture, np.zeros_like(face.picture[..., 0]))
    picture = add_blur_and_grain(resample(made.picture, rng), rng)
    if planted:
        picture = traced(method, picture, made.cover)
    image = encode(picture, quality=int(rng.integers(82, 96)))
    identity, source = (f"{order.split}-{number:05d}" for number in (person, donor))
    return SyntheticRow(image, int(method != ""), identity, order.split, method, source if method in BORROWING else "")


def _labels(task: str, split: str, count: int, rng: np.random.Generator) -> list[int]:
    if task == "deepfake":
        of_face, num_fakes = PER_FACE[split], PER_FACE[split] - 1
        return [
            position % of_face and 1 + (position // of_face * num_fakes + position % of_face - 1) % len(METHODS)
            for position in range(count)
        ]
    if task == "attributes":
        ordered = [(index // IMAGES_PER_IDENTITY) % len(ATTRIBUTES) for index in range(count)]
        return [-1] * count if split == "train" else ordered
    shares = TRAIN_COUNTS if split == "train" else (1,) * len(CLASSES[task])
    labels = np.repeat(np.arange(len(shares)), _quotas(shares, count))
    return [int(label) for label in rng.permutation(labels)]


def _quotas(shares: Sequence[int], count: int) -> list[int]:
    """Rows per class in proportion to shares; rare classes get LEAST_PER_CLASS at the cost of the commonest."""
    exact = np.asarray(shares) * count / sum(shares)
    quotas = np.maximum(np.round(exact).astype(int), LEAST_PER_CLASS)
    quotas[np.argmax(exact)] += count - quotas.sum()
    return [int(quota) for quota in quotas]


def _generators(order: Order) -> tuple[np.random.Generator, np.random.Generator]:
    """Of the person, which the images of an identity share, and of the image alone."""
    key = [order.seed, _code(order.task), SPLITS.index(order.split)]
    person = np.random.default_rng([*key, 0, order.position // IMAGES_PER_IDENTITY])
    return person, np.random.default_rng([*key, 1, order.position])


def _code(task: str) -> int:
    return list(KINDS).index(task)


def _acts(order: Order, attributes: dict[str, bool], rng: np.random.Generator) -> Acts:
    if order.task == "emotion":
        return draw_acts(EMOTIONS[order.label], rng)
    return draw_mood(attributes["Smiling"], attributes["Mouth_Slightly_Open"], rng)
