"""Activation checkpointing changes memory alone: losses, gradients and running statistics are those without it."""

import json

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from lssat.config import build
from lssat.data.prepared.rows import Batch
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import new_learner
from lssat.train.step import StepContext, train_step
from tests.lssat.one_of_two import one_of_two

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
DEVICE = torch.device("cpu")
SIZE = 4
SETTINGS = {
    "data.image_size": 64,
    "masking.unit": 16,
    "decoder.dim": 32,
    "decoder.depth": 2,
    "optim.batch_size": SIZE,
    "optim.precision": "float32",
    "backbone.drop_path_rate": 0.2,
}
VIT = {"backbone.name": "test_vit", "backbone.patch_size": 8}
RESNET = {"backbone.name": "test_resnet"}
CASES = {
    "tokens": VIT,
    "tokens with rotary positions": {"backbone.name": "eva02_tiny_patch14_224", "backbone.patch_size": 8},
    "tokens in units": {"backbone.name": "hiera_tiny_224", "data.image_size": 128},
    "batch norm": RESNET,
    "batch norm that activates": {"backbone.name": "test_efficientnet"},
    "layer norm and channels last": {"backbone.name": "test_convnext"},
    "windows": {"backbone.name": "swin_tiny_patch4_window7_224"},
    "sparse batch norm": RESNET | {"masking.mode": "sparse"},
    "sparse squeeze and excitation": {"backbone.name": "test_efficientnet", "masking.mode": "sparse"},
    "blocks that are given lists": {"backbone.name": "densenet121"},
    "supervised": RESNET | {"auxiliary": False},
    "fusion": VIT | {"head.fusion": "concat"},
    "bfloat16": VIT | {"optim.precision": "bfloat16"},
    "bfloat16 with batch norm": RESNET | {"optim.precision": "bfloat16"},
    "frozen below": RESNET | {"optim.tune": "last_2"},
    "norms alone learn": VIT | {"optim.tune": "norms"},
    "mixup in micro-batches": RESNET | {"augment.mixup": 0.4, "optim.accumulate": 2},
}


def batch(side, num_rows=SIZE, size=SIZE, first=0):
    image = np.random.default_rng(0).integers(0, 255, (SIZE, side, side, 3)).astype(np.uint8)
    rows = np.arange(first, first + num_rows)
    return Batch(image[rows], rows % 3, rows, size)


def trained(settings, checkpointing, num_rows=SIZE, distributed=None):
    """Two steps: losses, gradients of the second, buffers, and the next random number."""
    distributed = distributed or Distributed(DEVICE)
    config = build({**SETTINGS, **settings, "resources.activation_checkpointing": checkpointing})
    torch.manual_seed(0)
    learner = new_learner(config, TASK, DEVICE).in_parallel(distributed)
    context, generator = StepContext.of(config, TASK, distributed), torch.Generator().manual_seed(0)
    size = SIZE // distributed.world_size
    own = max(0, min(size, num_rows - distributed.rank * size))
    for step in range(2):
        if step:
            learner.update(1.0)
        given = batch(config.data.image_size, own, size, distributed.rank * size)
        losses = train_step(context, learner.trained, given, generator, config.optim.accumulate)
    gradients = {name: each.grad for name, each in learner.model.named_parameters() if each.grad is not None}
    return losses._asdict(), gradients, dict(learner.model.named_buffers()), torch.rand(1)


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_the_same(case):
    exact = {"atol": 1e-6, "rtol": 1e-4} if "bfloat16" not in case else {"atol": 1e-3, "rtol": 1e-2}
    torch.testing.assert_close(trained(CASES[case], True), trained(CASES[case], False), **exact)


def test_it_changes_no_run():
    """One that began without it goes on with it."""
    assert build({"resources.activation_checkpointing": True}).of_training == build({}).of_training


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Norms of the gradients of each of two workers, by case; each has compared them with those without it."""
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(_work, args=(folder,), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


TOGETHER = {
    "batch norm": RESNET,
    "sparse batch norm": RESNET | {"masking.mode": "sparse"},
    "micro-batches": RESNET | {"optim.accumulate": 2},
    "tokens": VIT,
}


def _work(rank, folder):
    with one_of_two(rank, folder) as distributed:
        told = {}
        for name, settings in TOGETHER.items():
            for num_rows in (SIZE, 1):  # with one row the second worker has none
                found = [
                    trained({**settings, "resources.num_workers": 2}, checkpointing, num_rows, distributed)
                    for checkpointing in (True, False)
                ]
                torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
                told[f"{name}, {num_rows}"] = {each: grad.norm().item() for each, grad in found[0][1].items()}
        (folder / f"{rank}.json").write_text(json.dumps(told))


@pytest.mark.parametrize("num_rows", [SIZE, 1])
@pytest.mark.parametrize("case", TOGETHER)
def test_two_workers_do_as_without_it(two_workers, case, num_rows):
    first, second = (worker[f"{case}, {num_rows}"] for worker in two_workers)
    assert first == second and any(norm > 0 for norm in first.values())
