"""The whole model: one forward for both tasks, nothing of the auxiliary one where it is off, friendly to data-parallel training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from lssat.config import Config, build
from lssat.masking import pixel_mask, random_mask
from lssat.model import LSSAT, build_model

BACKBONES = ["test_vit", "test_resnet", "test_convnext", "mobilenetv3_small_050"]


def configure(name: str, **settings: object) -> Config:
    patch = {"backbone.patch_size": 8} if "vit" in name else {}
    return build({"backbone.name": name, "decoder.dim": 32, **patch, **{key.replace("__", "."): value for key, value in settings.items()}})


def make(name: str, **settings: object) -> LSSAT:
    torch.manual_seed(0)
    return build_model(configure(name, **settings), 3)


def draw(model: LSSAT, batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    classified, masked = (torch.rand(batch, 3, 64, 64, generator=generator) for _ in range(2))
    noise = torch.rand(batch, model.encoder.grid[0] * model.encoder.grid[1], generator=generator)
    return classified, masked, random_mask(noise, model.encoder.default_ratio)


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("name", BACKBONES)
def test_shapes_of_a_joint_forward(name: str) -> None:
    model = make(name)
    output = model(*draw(model))
    assert output.logits.shape == (4, 3)
    assert output.pred is not None
    assert output.pred.shape == (4, model.encoder.grid[0] * model.encoder.grid[1], model.encoder.unit**2)  # LDP, scaled: one code per pixel


@pytest.mark.parametrize("name", BACKBONES)
def test_prediction_reads_visible_pixels_only(name: str) -> None:
    model = make(name)
    classified, masked, mask = draw(model)
    hidden = pixel_mask(mask, model.encoder.grid, (64, 64))
    first = model(classified, masked, mask).pred
    assert torch.equal(first, model(classified, torch.where(hidden, 0.5, masked), mask).pred)


@pytest.mark.parametrize("name", BACKBONES)
def test_masked_pass_does_not_change_the_logits(name: str) -> None:
    model, alone = make(name), make(name)
    classified, masked, mask = draw(model)
    assert torch.equal(model(classified, masked, mask).logits, alone(classified).logits)
    for (key, tensor), other in zip(model.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), key


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("settings", [{"auxiliary": False}, {"aux_weight": 0.0}], ids=str)
def test_without_auxiliary_task_nothing_of_it_is_built(name: str, settings: dict[str, object]) -> None:
    plain, joint = make(name, **settings), make(name)
    assert plain.decoder is None
    assert not any("mask_token" in key for key, _ in plain.named_parameters())
    for key, tensor in plain.state_dict().items():  # both start from the same encoder and head
        assert torch.equal(tensor, joint.state_dict()[key])
    classified, _, _ = draw(plain)
    output = plain(classified)
    assert output.pred is None
    output.logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in plain.parameters())


@pytest.mark.parametrize("auxiliary", [True, False])
@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.usefixtures("process_group")
def test_data_parallel_training_uses_every_parameter_once(name: str, auxiliary: bool) -> None:
    """DistributedDataParallel raises in the second step where a parameter got no gradient in the first."""
    model = make(name, auxiliary=auxiliary)
    parallel = DistributedDataParallel(model)
    given = draw(model) if auxiliary else draw(model)[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            output = parallel(*given)
            loss = output.logits.square().sum() + (output.pred.square().sum() if output.pred is not None else 0)
            loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_head_starts_small_and_unbiased() -> None:
    model = make("test_vit")
    assert model.head.weight.abs().max() < 0.1
    assert not model.head.bias.any()
