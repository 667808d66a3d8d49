"""Strided 1x1 convolutions of few channels: the backbones that have one train, and compute what timm's do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from lssat.model.encoders.pointwise import StridedPointwise, corrupts_memory, spare_memory

ROOT = Path(__file__).resolve().parents[3]
STEPS = """
import sys
import torch
from torch.optim import AdamW
from lssat.config import build
from lssat.inputs.masking import random_mask
from lssat.model.lssat import build_model

torch.set_num_threads(2)
name = sys.argv[1]
settings = {"backbone.name": name, "data.image_size": 64, "masking.unit": 16, "decoder.dim": 32, "decoder.depth": 1}
model = build_model(build(settings), 1).train()
for batch in (2, 3, 8):
    for step in range(3):
        image = torch.rand(batch, 3, 64, 64)
        output = model(image, image, random_mask(torch.rand(batch, 16), 0.6))
        (output.logits.square().mean() + output.pred.square().mean()).backward()
print("trained")
"""


@pytest.mark.parametrize("backbone", ["repvgg_a0", "fastvit_t8", "mobileone_s0", "gernet_s"])
def test_backbones_with_such_a_convolution_train_at_every_batch(backbone):
    """In a process of their own: memory that is written past its end ends the process, now or later."""
    environment = {**os.environ, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "85"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, backbone], cwd=ROOT, capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "trained"


@pytest.mark.parametrize(("stride", "side"), [(2, 16), (2, 15), (3, 16), ((1, 2), 9)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_convolution_that_it_stands_for(stride, side, bias):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 5, 1, stride, bias=bias).double())
    spared = nn.Sequential(nn.Conv2d(3, 5, 1, stride, bias=bias).double())
    spared.load_state_dict(plain.state_dict())
    spare_memory(spared)
    assert isinstance(spared[0], StridedPointwise) and spared.state_dict().keys() == plain.state_dict().keys()
    image = torch.rand(3, 3, side, side, dtype=torch.float64)  # contiguous, where torch's own is sound
    found, expected = ([model(image), *_gradients(model, image)] for model in (spared, plain))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)


def _gradients(model, image):
    leaf = image.clone().requires_grad_()
    return torch.autograd.grad(model(leaf).square().sum(), [leaf, *model.parameters()])


def test_only_those_convolutions_are_replaced():
    with torch.device("meta"):
        stem, resnet = timm.create_model("repvgg_a0"), timm.create_model("resnet50")
    order = [name for name, _ in stem.named_parameters()]
    assert [name for name, module in stem.named_modules() if corrupts_memory(module)] == ["stem.conv_1x1.conv"]
    spare_memory(stem)
    assert not any(map(corrupts_memory, stem.modules()))
    assert [name for name, _ in stem.named_parameters()] == order, "checkpoints of optimizers number parameters"
    assert not any(map(corrupts_memory, resnet.modules())), "it has 64 channels and more where it is strided"
