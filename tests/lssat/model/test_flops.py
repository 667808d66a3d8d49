"""Operations against a count by hand."""

import copy

import pytest
import torch
from torch import nn

from lssat.config import build
from lssat.model.flops import flops
from lssat.model.lssat import build_model

BASE = {"data.image_size": 32, "masking.unit": 8}


def counted(model, image_size):
    """Twice the multiplications of each convolution and linear layer, and of each attention's two products."""
    total = 0

    def add(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += 2 * output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += 2 * output.numel() * module.in_features
        elif type(module).__name__ == "Attention":
            _, tokens, width = inputs[0].shape
            total += 2 * 2 * tokens * tokens * width
        elif type(module).__name__ == "AttentionPoolLatent":  # one query for all tokens
            _, tokens, width = inputs[0].shape
            total += 2 * 2 * tokens * width

    hooks = [module.register_forward_hook(add) for module in model.modules()]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, image_size, image_size))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("side", [64, 96])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_vit3", "test_convnext", "test_efficientnet"])
def test_operations_are_those_that_a_count_by_hand_finds(name, side):
    model = build_model(build({**BASE, "backbone.name": name, "data.image_size": side}), 5)
    assert flops(model, side) == counted(model, side) > 0


def test_finer_patches_are_more_operations():
    few, many = (
        flops(build_model(build({**BASE, "backbone.name": "test_vit", "backbone.patch_size": size}), 5), 32)
        for size in (8, 4)
    )
    assert many > 3 * few


def test_counting_changes_neither_the_model_nor_what_is_drawn_next():
    model = build_model(build({**BASE, "backbone.name": "test_resnet"}), 5).train()
    before, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    flops(model, 32)
    assert model.training and torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
