from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import nn

from lssat.config import OptimConfig
from lssat.optim import build_optimizer, param_groups, schedule


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.norm = nn.LayerNorm(3)
        self.conv = nn.Conv2d(3, 3, 3)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 3))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 3))
        self.fixed = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


def test_only_weights_decay() -> None:
    model = Toy()
    decayed, kept = param_groups(model, 0.05)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model.linear.weight), id(model.conv.weight)}
    others = [model.linear.bias, model.norm.weight, model.norm.bias, model.conv.bias, model.mask_token, model.pos_embed]
    assert {id(p) for p in kept["params"]} == {id(p) for p in others}


MODELS = ["test_vit", "test_vit3", "eva02_tiny_patch14_224", "test_resnet", "test_nfnet", "swin_tiny_patch4_window7_224", "levit_128s"]


@pytest.mark.parametrize("name", MODELS)
def test_timm_models_agree_on_what_must_not_decay(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    groups = param_groups(model, 0.05)
    assert sorted(names[id(p)] for group in groups for p in group["params"]) == sorted(names.values())
    decayed = {names[id(p)] for p in groups[0]["params"]}
    exempt = getattr(model, "no_weight_decay", set)
    assert not decayed & set(exempt())


def test_optimizer_takes_the_config() -> None:
    optimizer = build_optimizer(Toy(), OptimConfig(lr=3e-4, weight_decay=0.1))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(3e-4, 0.1), (3e-4, 0.0)]


def test_schedule_rises_straight_then_falls_as_a_cosine() -> None:
    rates = [schedule(step, 101, 20, 1e-3, 1e-6) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3 / 21)
    assert rates[9] == pytest.approx(1e-3 * 10 / 21)
    assert rates[20] == max(rates) == pytest.approx(1e-3)
    assert rates[60] == pytest.approx((1e-3 + 1e-6) / 2)  # half-way down
    assert rates[40] == pytest.approx(1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi / 4)) / 2)
    assert rates[100] == min(rates) == pytest.approx(1e-6)
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)


def test_schedule_of_short_runs() -> None:
    assert schedule(0, 1, 0, 1e-3, 1e-6) == pytest.approx(1e-3)
    assert [schedule(step, 2, 0, 1e-3, 0.0) for step in range(2)] == pytest.approx([1e-3, 0.0])
    assert [schedule(step, 3, 2, 1e-3, 0.0) for step in range(3)] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
