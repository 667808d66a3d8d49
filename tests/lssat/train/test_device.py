"""A training step never waits for its device, and a GPU's batches are gathered ahead. The meta device stands for one
where tensors need no numbers: whatever reads one back fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lssat.config import build
from lssat.data.prepared.rows import Batch, ResidentRows
from lssat.inputs.randaugment import OPERATIONS, Operations, randaugment
from lssat.model.lssat import build_model
from lssat.task import Task
from lssat.train.distributed import Distributed, fed, to_device
from lssat.train.step import StepContext, train_step

META, CPU, GPU = (torch.device(name) for name in ("meta", "cpu", "cuda"))
TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 12, 8), 30)
BATCH = 8
OF_EVERY_STEP = 8
"""Copies to the device: image, label, five numbers of the augmentation, and those of the mask."""


class Copies(TorchDispatchMode):
    """Counts copies to the device; by `waiting`: whether the program waits for it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[bool] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        is_copied = func is torch.ops.aten._to_copy.default and kwargs.get("device") == META
        if is_copied and args[0].device.type == "cpu":
            self.counts[not kwargs.get("non_blocking", False)] += 1
        return func(*args, **kwargs)


VIT = {"backbone.name": "test_vit", "backbone.patch_size": 8}
CASES: dict[str, tuple[dict[str, object], int]] = {  # settings, and copies beside those of every step
    "tokens": (VIT, 0),
    "hiera": ({"backbone.name": "hiera_tiny_224", "data.image_size": 128}, 0),
    "pyramid": ({"backbone.name": "test_resnet"}, 0),
    "sparse": ({"backbone.name": "test_resnet", "masking.mode": "sparse"}, 0),
    "fusion": (VIT | {"head.fusion": "concat"}, 0),
    "balanced and smoothed": (VIT | {"optim.class_balanced": True, "optim.label_smoothing": 0.1}, 0),
    "mixup": (VIT | {"augment.mixup": 0.4}, 1),
    "erasing": (VIT | {"augment.erase": 0.5}, 2),
    "erasing in four parts": (VIT | {"augment.erase": 0.5, "augment.mixup": 0.4, "optim.accumulate": 4}, 3),
    "a camera": (VIT | {"augment.blur": 1.0, "augment.resize": 0.5, "augment.noise": 0.1, "augment.jpeg": 70}, 14),
    "LBP": (VIT | {"streams": "MLBP/RLBP/CLBP"}, 0),
    "codes of LDP": (VIT | {"streams": "MRGB/RLDP/CRGB", "target.encoding": "histogram"}, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_reads_nothing_back_and_sends_each_number_once(case: str) -> None:
    settings, more = CASES[case]
    small = {"data.image_size": 64, "masking.unit": 16, "optim.batch_size": BATCH, "optim.precision": "float32"}
    config = build(small | settings)
    model = build_model(config, 3, trained=True).to(META)
    context = StepContext.of(config, TASK, Distributed(META))
    side = config.data.image_size
    images = np.zeros((BATCH, side, side, 3), np.uint8)
    batch = Batch(images, np.arange(BATCH) % 3, np.arange(BATCH), BATCH)
    with Copies() as copies:
        losses = train_step(context, model.train(), batch, torch.Generator().manual_seed(0), config.optim.accumulate)
    assert losses.task.is_meta and model.decoder is not None
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())
    assert copies.counts == {False: OF_EVERY_STEP + more}, "waiting or not -> copies"


def test_randaugment_sends_one_index_however_many_operations_there_are() -> None:
    """Two operations take grey by a constant of their own, in each turn."""
    index = torch.arange(2 * len(OPERATIONS)).view(-1, 2) % len(OPERATIONS)
    operations = Operations(index, torch.zeros(index.shape)).to(META)
    images = torch.empty(len(index), 3, 16, 16, device=META)
    with Copies() as copies:
        assert randaugment(images, operations).shape == images.shape
    weights_of_grey = 2 * 2
    assert copies.counts == {False: 1 + weights_of_grey}


def batches(labels: tuple[int, ...] = (30,)) -> Iterator[Batch]:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (30, 16, 16, 3)).astype(np.uint8)
    label = random.integers(0, 2, labels)
    return ResidentRows([{"image": image, "label": label, "row": np.arange(30)}]).batches(8, 5, seed=3)


def assert_equal(found: Iterator[Batch], expected: Iterator[Batch]) -> None:
    for one, other in zip(found, expected, strict=True):
        for part, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, wanted)


def test_a_cpu_gets_its_batches_without_a_thread() -> None:
    given = batches()
    assert fed(given, CPU) is given


@pytest.mark.parametrize("labels", [(30,), (30, 4)], ids=["one label", "several"])
def test_what_a_gpu_gets_is_the_same_to_the_empty_batch_at_the_end(
    labels: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cuda.is_available():  # then pinning alone is left out
        monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    assert_equal(fed(batches(labels), GPU), batches(labels))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_copy_to_a_gpu_is_made_from_memory_that_was_pinned_before() -> None:
    for batch, plain in zip(fed(batches(), GPU), batches(), strict=True):
        if len(batch.label):
            assert torch.from_numpy(batch.image).is_pinned() and torch.from_numpy(batch.label).is_pinned()
        for part, wanted in zip(to_device(batch, GPU), to_device(plain, CPU), strict=True):
            assert torch.equal(part.cpu(), wanted)
