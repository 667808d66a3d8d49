"""The whole model: one forward for both tasks, nothing of the auxiliary one where it is off, friendly to data-parallel
training.
"""

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
from lssat.errors import ConfigError
from lssat.inputs.masking import Mask, pixel_mask, random_mask
from lssat.model.lssat import LSSAT, build_model

BACKBONES = ["test_vit", "test_resnet", "test_convnext", "mobilenetv3_small_050"]


def configure(name: str, **settings: object) -> Config:
    patch = {"backbone.patch_size": 8} if "vit" in name else {}
    return build(
        {
            "backbone.name": name,
            "decoder.dim": 32,
            **patch,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
    )


def make(name: str, **settings: object) -> LSSAT:
    torch.manual_seed(0)
    return build_model(configure(name, **settings), 3)


def draw(model: LSSAT, batch: int = 4) -> tuple[Tensor, Tensor, Mask]:
    generator = torch.Generator().manual_seed(0)
    classified, masked = (torch.rand(batch, 3, 64, 64, generator=generator) for _ in range(2))
    noise = torch.rand(batch, model.encoder.num_cells, generator=generator)
    return classified, masked, random_mask(noise, model.encoder.ratio(None))


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
    assert output.pred.shape == (4, model.encoder.num_cells, model.encoder.unit**2)  # LDP, scaled: one code per pixel


@pytest.mark.parametrize("name", BACKBONES)
def test_prediction_reads_visible_pixels_only(name: str) -> None:
    model = make(name)
    classified, masked, mask = draw(model)
    hidden = pixel_mask(mask.hidden, model.encoder.grid, (64, 64))
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


HEADS = [
    *(
        (name, settings)
        for name in BACKBONES
        for settings in ({}, {"auxiliary": False}, {"head__fusion": "concat"}, {"head__pooling": "mean"})
    ),
    ("test_vit", {"head__pooling": "cls"}),
    *(
        (name, {"head__pooling": "mean", "head__fusion": "concat"})
        for name in ("test_vit", "test_vit2", "test_vit3", "vit_base_patch16_siglip_224")
    ),
]


@pytest.mark.parametrize(("name", "settings"), HEADS, ids=str)
@pytest.mark.usefixtures("process_group")
def test_data_parallel_training_uses_every_parameter_once(name: str, settings: dict[str, object]) -> None:
    """DistributedDataParallel raises in the second step where a parameter got no gradient in the first."""
    model = make(name, **settings)
    parallel = DistributedDataParallel(model)
    given = draw(model) if settings.get("auxiliary", True) else draw(model)[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            output = parallel(*given)
            loss = output.logits.square().sum() + (output.pred.square().sum() if output.pred is not None else 0)
            loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "pooling"), [("test_vit", "cls"), ("test_vit", "mean"), ("test_vit2", "mean"), ("test_vit3", "mean")]
)
def test_head_reads_the_class_token_or_the_mean_of_the_patches(name: str, pooling: str) -> None:
    model = make(name, head__pooling=pooling).eval()
    classified, _, _ = draw(model)
    backbone = model.encoder.model
    tokens = backbone.forward_features(model.encoder.normalise(classified))
    read = tokens[:, 0] if pooling == "cls" else tokens[:, backbone.num_prefix_tokens :].mean(1)
    torch.testing.assert_close(model.encoder.encode(classified).pooled, backbone.fc_norm(read))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_feature_maps_are_averaged_natively(name: str) -> None:
    classified, _, _ = draw(make(name))
    assert torch.equal(make(name).eval()(classified).logits, make(name, head__pooling="mean").eval()(classified).logits)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_choice_of_pooling_keeps_weights_and_names(pooling: str) -> None:
    """So pretrained weights fit, whatever pooling they were trained with."""
    native, chosen = make("test_vit").state_dict(), make("test_vit", head__pooling=pooling).state_dict()
    assert native.keys() == chosen.keys()
    assert all(torch.equal(native[key], chosen[key]) for key in native)


@pytest.mark.parametrize(
    ("name", "pooling", "rule"),
    [
        ("test_resnet", "cls", "needs a class token, but timm's test_resnet has none; choose native or mean"),
        ("vit_base_patch16_siglip_224", "cls", "needs a class token"),
        ("deit_tiny_distilled_patch16_224", "mean", "does not pool by mean .*; choose native"),
    ],
)
def test_pooling_that_the_backbone_lacks_is_refused(name: str, pooling: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=f"`head.pooling`.*{rule}"):
        make(name, head__pooling=pooling)


@pytest.mark.parametrize("name", BACKBONES)
def test_fused_head_reads_the_pooled_image_beside_what_the_decoder_makes_of_it(name: str) -> None:
    """By hand, position by position, without a mask: so a masked pass, and its absence at test, change nothing."""
    model = make(name, head__fusion="concat").eval()
    classified, masked, mask = draw(model)
    encoded = model.encoder.encode(classified)
    decoder = model.decoder
    assert decoder is not None and model.head.in_features == model.encoder.pooled_dim + 32
    tokens = decoder.norm(decoder.blocks(decoder.embed(encoded.features) + decoder.position))
    mean = sum(tokens[:, cell] for cell in range(tokens.shape[1])) / tokens.shape[1]
    weight, bias = model.head.weight, model.head.bias
    width = model.encoder.pooled_dim
    expected = encoded.pooled @ weight[:, :width].T + mean @ weight[:, width:].T + bias
    torch.testing.assert_close(model(classified).logits, expected)
    assert torch.equal(model(classified, masked, mask).logits, model(classified).logits)


def test_fusion_needs_the_auxiliary_task() -> None:
    for settings in ({"auxiliary": False}, {"aux_weight": 0.0}):
        with pytest.raises(
            ConfigError, match=r"`head.fusion` concat reads the decoder, so it needs `auxiliary` on .*; set it to none"
        ):
            configure("test_vit", head__fusion="concat", **settings)


@pytest.mark.parametrize(
    ("name", "settings", "rule"),
    [
        ("test_vit9", {}, "must be an architecture of timm, but got 'test_vit9'; did you mean `test_vit"),
        (
            "test_resnet",
            {"masking__ratio": 0.97},
            "some of the 16 patches .* but 0.97 leaves no patch visible; move the ratio towards 0.5",
        ),
        ("test_vit", {"masking__ratio": 0.99}, "some of the 64 patches .* no patch visible"),
        (
            "test_resnet",
            {"masking__unit": 64},
            "`data.image_size` must be a multiple of `masking.unit` and at least 4 of them, but got 64 and 64",
        ),
        (
            "test_vit",
            {"backbone__patch_size": 64},
            "at least 16 mask units, but `data.image_size` 64 holds 1 of 64 pixels; lower `backbone.patch_size`",
        ),
        ("test_resnet", {"data__image_size": 70}, "multiple of `masking.unit`"),
        (
            "test_resnet",
            {"data__image_size": 72, "masking__unit": 18},
            "`masking.unit` must be a multiple of 4, the stride of the backbone's first stage",
        ),
        (
            "test_vit",
            {"backbone__patch_size": 9},
            "must be a multiple of the mask unit, but got 64 and units of 9 pixels; change `backbone.patch_size`",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(name: str, settings: dict[str, object], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        make(name, **settings)


def test_head_starts_small_and_unbiased() -> None:
    model = make("test_vit")
    assert model.head.weight.abs().max() < 0.1
    assert not model.head.bias.any()
