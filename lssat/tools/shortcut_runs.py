"""The runs of `lssat.tools.planted_shortcuts`: each arm learns from fakes with planted traces, and is scored on others.

Half of the arms learn from images that have the traces at random, real or fake alike, so that these say nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lssat.config import Config, build
from lssat.data.prepared.decoding import Pixels, decode
from lssat.data.prepared.rows import Arrays, Batch, ResidentRows
from lssat.data.synthetic import DRAWINGS
from lssat.data.synthetic.generate import MADE, PER_FACE, Order, draw, plan
from lssat.data.synthetic.traces import padded_edge, upsampler_grid
from lssat.evaluation.metrics import one_score
from lssat.files import write_text
from lssat.model.lssat import LSSAT
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import new_learner
from lssat.train.loop import train_epoch
from lssat.train.scoring import predict_rows
from lssat.train.step import StepContext

TRAINED, HELD_OUT, UNSEEN = ("region_swap", "texture"), ("self_blend",), ("warp",)
"""Methods: training and in-domain validation have the first ones, with their traces; held-out validation has the
second; the chosen model is judged by the third. None but the first is seen in training.
"""
IMAGE_SIZE = 64
NUM_TRAIN = 4000
"""Images of all methods; those of TRAINED and the real ones are drawn: 2,400."""
SCORED_FACES = 400
"""Real ones in each set that arms are scored on."""
MARKED = 0.5
"""Share of training images, real or fake alike, that get each trace where an arm is to learn nothing from it."""
OF_FACE = 1 + len(TRAINED)
"""Training images of each face, which follow each other."""
CPU = Distributed(torch.device("cpu"))
SETTINGS: dict[str, Any] = {
    "data.task": "deepfake",
    "data.image_size": IMAGE_SIZE,
    "backbone.name": "test_resnet",
    "auxiliary": False,
    "augment.crop_scale": 1.0,
    "optim.epochs": 12,
    "optim.batch_size": 16 * OF_FACE,
    "optim.lr": 2e-3,
    "optim.class_balanced": True,
    "optim.precision": "float32",
}


class Arm(NamedTuple):
    """`settings`: beside SETTINGS. `is_marked`: training images get traces at random, and not by their method; else
    it is a shortcut learner.
    """

    settings: Mapping[str, Any]
    is_marked: bool

    def config(self, seed: int) -> Config:
        """Of its run from this seed."""
        return build({**SETTINGS, **self.settings, "seed": seed})

    @property
    def digest(self) -> str:
        """Eight digits of all that decides its results beside the seed, so that runs of before are not taken for it."""
        decides = [DRAWINGS["deepfake"], NUM_TRAIN, SCORED_FACES, self.config(0).hash(), self.is_marked and MARKED]
        return hashlib.sha256(repr(decides).encode()).hexdigest()[:8]


COLOUR = {"augment.color": 0.4}
ARMS = {
    "plain": Arm({}, is_marked=False),
    "colour": Arm(COLOUR, is_marked=False),
    "marked": Arm({}, is_marked=True),
    "marked, colour": Arm(COLOUR, is_marked=True),
}


class PairedRows(ResidentRows):
    """Training images in batches that hold a real face and the fakes of it together, without which a run of half a
    minute learns little but the traces; marked by traces at random where that is asked for.
    """

    def __init__(self, images: Arrays, is_marked: bool) -> None:
        super().__init__([images])
        self._images, self._is_marked = images, is_marked

    def batches(self, size: int, steps: int, seed: int | None) -> Iterator[Batch]:
        """See `Rows.batches`."""
        rng = np.random.default_rng(seed)
        faces = rng.permutation(self.num_rows // OF_FACE)
        order = (faces[:, None] * OF_FACE + np.arange(OF_FACE)).ravel()
        for step in range(steps):
            rows = order[step * size : (step + 1) * size]
            image, label, row = (self._images[name][rows] for name in ("image", "label", "row"))
            yield Batch(_marked(image, rng) if self._is_marked else image, label, row, size)


def _marked(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Each with each trace, or without it, by its own draw; the grid on an oval where faces are."""
    size = images.shape[1]
    across, down = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2)
    marked = images.copy()
    for image in marked:
        picture = image.astype(np.float32) / 255
        if rng.random() < MARKED:
            picture = padded_edge(picture, across)
        if rng.random() < MARKED:
            (x, y), (wide, tall) = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.4, 0.7, 2)
            oval = ((across - x) / wide) ** 2 + ((down - y) / tall) ** 2
            picture = upsampler_grid(picture, np.exp(-(oval**2)).astype(np.float32))
        image[:] = np.clip(picture * 255 + 0.5, 0, 255)
    return marked


def run_seed(seed: int, folder: Path) -> None:
    """Train every arm that has no file there yet, and write one for each."""
    missing = [name for name in ARMS if not result_file(folder, name, seed).exists()]
    if not missing:
        return
    torch.set_num_threads(1)
    train = {is_planted: _drawn(training_orders(seed), is_planted) for is_planted in (False, True)}
    scored = scored_images(seed)
    for name in missing:
        begun = time.process_time()
        arm = ARMS[name]
        scores = run_arm(arm, seed, train[not arm.is_marked], scored)
        result = {"arm": name, "seed": seed, "auc": scores, "cpu_seconds": time.process_time() - begun}
        write_text(result_file(folder, name, seed), json.dumps(result) + "\n")


def result_file(folder: Path, arm: str, seed: int) -> Path:
    """Of a run; its name changes with what the arm is."""
    return folder / f"{arm.replace(', ', '-')}-{ARMS[arm].digest}-{seed}.json"


def run_arm(arm: Arm, seed: int, train: Arrays, scored: Mapping[str, Arrays]) -> dict[str, float]:
    """The AUC of its model after the last epoch on each of the scored sets. `train`: with traces, or for an arm that is
    marked without.
    """
    config, labels = arm.config(seed), train["label"]
    task = Task("deepfake", "binary", ("real", "fake"), tuple(np.bincount(labels).tolist()), len(labels))
    rows = PairedRows(train, arm.is_marked)
    torch.manual_seed(seed)
    context, learner = StepContext.of(config, task, CPU), new_learner(config, task, CPU.device)
    for epoch in range(config.optim.epochs):
        train_epoch(context, learner, rows, epoch, num_micro_batches=1)
    return {name: _auc(config, learner.evaluated, images) for name, images in scored.items()}


def _auc(config: Config, model: LSSAT, images: Arrays) -> float:
    predictions, _ = predict_rows(config, model, ResidentRows([images]), CPU)
    return one_score("binary", "auc", *predictions)


def scored_images(seed: int) -> dict[str, Arrays]:
    """Real faces of validation or test, with fakes of the same people: the sets that arms are scored on."""
    return {
        "in domain": _drawn(of_people("val", TRAINED, seed)),
        "held out": _drawn(of_people("val", HELD_OUT, seed)),
        "unseen": _drawn(of_people("test", UNSEEN, seed)),
        "no trace": _drawn(of_people("val", TRAINED, seed), planted=False),
    }


def training_orders(seed: int) -> list[Order]:
    """Real faces and fakes by the methods of TRAINED."""
    orders = plan("deepfake", NUM_TRAIN, IMAGE_SIZE, seed)
    return [order for order in orders if order.split == "train" and MADE[order.label] in ("", *TRAINED)]


def of_people(split: str, methods: Sequence[str], seed: int) -> list[Order]:
    """The first real faces of a split, and a fake of each by each of the methods."""
    orders = [order for order in plan("deepfake", NUM_TRAIN, IMAGE_SIZE, seed) if order.split == split]
    chosen: list[Order] = []
    for start in range(0, PER_FACE[split] * SCORED_FACES, PER_FACE[split]):
        real, fake = orders[start : start + 2]
        chosen += [real, *(fake._replace(label=MADE.index(method)) for method in methods)]
    return chosen


def _drawn(orders: list[Order], planted: bool = True) -> Arrays:
    rows = [draw(order, planted) for order in orders]
    images = {"image": [row.image for row in rows], "label": [row.label for row in rows]}
    return decode({**images, "row": np.arange(len(rows))}, IMAGE_SIZE)
