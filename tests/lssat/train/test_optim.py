from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import nn

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.model.lssat import build_model
from lssat.settings.training import OptimConfig
from lssat.train.optim import (
    build_optimizer,
    layer_scales,
    param_groups,
    schedule,
    scheduled_lr,
    set_lr,
)


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
    decayed, kept = param_groups(model, 0.05, {})
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model.linear.weight), id(model.conv.weight)}
    others = [model.linear.bias, model.norm.weight, model.norm.bias, model.conv.bias, model.mask_token, model.pos_embed]
    assert {id(p) for p in kept["params"]} == {id(p) for p in others}


MODELS = [
    "test_vit",
    "test_vit3",
    "eva02_tiny_patch14_224",
    "test_resnet",
    "test_nfnet",
    "swin_tiny_patch4_window7_224",
    "levit_128s",
]


@pytest.mark.parametrize("name", MODELS)
def test_timm_models_agree_on_what_must_not_decay(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    groups = param_groups(model, 0.05, {})
    assert sorted(names[id(p)] for group in groups for p in group["params"]) == sorted(names.values())
    decayed = {names[id(p)] for p in groups[0]["params"]}
    exempt = getattr(model, "no_weight_decay", set)
    assert not decayed & set(exempt())


def config(name: str = "test_vit", **settings: object) -> Config:
    patch = 16 if "vit" in name else None
    return build(
        {"backbone.name": name, "backbone.patch_size": patch, "data.image_size": 64, "decoder.dim": 32} | settings
    )


def test_optimizer_takes_the_config() -> None:
    optimizer = build_optimizer(build_model(config(), 3), OptimConfig(lr=3e-4, weight_decay=0.1))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(3e-4, 0.1), (3e-4, 0.0)]


LAYERED = [
    *MODELS,
    "test_convnext",
    "test_efficientnet",
    "test_mambaout",
    "regnety_002",
    "hiera_tiny_224",
    "beit_base_patch16_224",
    "mobilenetv3_small_050",
    "pvt_v2_b0",
    "densenet121",
    "caformer_s18",  # timm has no layers for this one and the next two: runs of twelve parameters
    "pit_ti_224",
    "csatv2",
]


@pytest.mark.parametrize("name", LAYERED)
def test_layer_scales_are_those_that_timm_gives_the_model_with_its_classifier(name: str) -> None:
    with torch.device("meta"):
        full, bare = timm.create_model(name, num_classes=10), timm.create_model(name, num_classes=0)
    names = {id(parameter): key for key, parameter in full.named_parameters()}
    groups = timm.optim.param_groups_layer_decay(full, layer_decay=0.7)
    theirs = {names[id(parameter)]: group["lr_scale"] for group in groups for parameter in group["params"]}
    ours = layer_scales(bare, 0.7)
    assert ours.keys() == dict(bare.named_parameters()).keys()
    assert ours == pytest.approx({key: theirs[key] for key in ours})
    assert len(set(ours.values())) > 2


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_layers_learn_the_slower_the_deeper_below_the_head(name: str) -> None:
    settings = config(name, **{"optim.layer_decay": 0.5, "optim.lr": 1e-2})
    model = build_model(settings, 3)
    optimizer = build_optimizer(model, settings.optim)
    set_lr(optimizer, 4e-3)
    rate = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    expected = {f"encoder.model.{key}": 4e-3 * scale for key, scale in layer_scales(model.encoder.model, 0.5).items()}
    for key, parameter in model.named_parameters():
        assert rate[id(parameter)] == pytest.approx(expected.get(key, 4e-3)), key
    assert len(rate) == sum(1 for _ in model.parameters()) and min(rate.values()) < 1e-3


def test_a_vision_transformer_by_hand() -> None:
    """Two blocks would be `0.5, 0.25`, the embedding below them `0.125`, as in BEiT."""
    with torch.device("meta"):
        backbone = timm.create_model("test_vit", num_classes=0)
    depth, scales = len(backbone.blocks), layer_scales(backbone, 0.5)
    for number in range(depth):
        assert scales[f"blocks.{number}.mlp.fc1.weight"] == 0.5 ** (depth - number)
    assert scales["patch_embed.proj.weight"] == scales["pos_embed"] == scales["cls_token"] == 0.5 ** (depth + 1)
    assert scales["norm.weight"] == 0.5


def test_a_batch_that_micro_batches_do_not_divide_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"`optim.accumulate` x `resources.num_workers` must divide `optim.batch_size`, but got 3 x 2 and 64",
    ):
        build({"optim.accumulate": 3, "resources.num_workers": 2, "optim.batch_size": 64})


def test_schedule_rises_straight_then_falls_as_a_cosine() -> None:
    rates = [schedule(step, 101, 20, 1e-3, 1e-6) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3 / 21)
    assert rates[9] == pytest.approx(1e-3 * 10 / 21)
    assert rates[20] == max(rates) == pytest.approx(1e-3)
    assert rates[60] == pytest.approx((1e-3 + 1e-6) / 2)  # half-way down
    assert rates[40] == pytest.approx(1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi / 4)) / 2)
    assert rates[100] == min(rates) == pytest.approx(1e-6)
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)


def test_a_step_of_a_run_has_the_rate_that_its_recipe_says() -> None:
    config = OptimConfig(epochs=3, warmup_epochs=0.5, lr=1e-3, min_lr=1e-6)
    rates = [scheduled_lr(config, step, 10) for step in range(30)]
    assert rates == [schedule(step, 30, 5, 1e-3, 1e-6) for step in range(30)]


def test_schedule_of_short_runs() -> None:
    assert schedule(0, 1, 0, 1e-3, 1e-6) == pytest.approx(1e-3)
    assert [schedule(step, 2, 0, 1e-3, 0.0) for step in range(2)] == pytest.approx([1e-3, 0.0])
    assert [schedule(step, 3, 2, 1e-3, 0.0) for step in range(3)] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
