"""The catalogue: fresh, canonical, and true to what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.inputs.mask_rule import mask_ratio, num_visible
from lssat.inputs.masking import random_mask
from lssat.model import catalog
from lssat.model.encoders.build import build_encoder
from lssat.model.lssat import build_model
from lssat.settings.model import BackboneConfig, MaskingConfig
from lssat.tools.catalog import generate

ENTRIES = [(family, size, entry) for family, sizes in catalog.read().items() for size, entry in sizes.items()]
LIGHT = [item for item in ENTRIES if item[2]["params"] < 2.5e6]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # some hundred networks, on the slowest machine too
def test_catalogue_is_fresh() -> None:
    assert json.loads(catalog.PATH.read_text()) == generate(), "run `python -m lssat.tools.catalog`"


def test_reading_needs_neither_torch_nor_timm() -> None:
    code = """
import sys
from lssat.settings.model import BackboneConfig, MaskingConfig
from lssat.model import catalog
assert catalog.mask_cells(BackboneConfig(), MaskingConfig(), 64) == 16
assert not {"torch", "timm"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_families_the_method_needs() -> None:
    assert {"vit", "deit3", "swin", "resnet", "convnext", "efficientnet", "mobilenetv3", "regnet"} <= set(
        catalog.read()
    )


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large", "huge"])
def test_vits_are_those_of_the_paper(size: str) -> None:
    native = 14 if size == "huge" else 16
    assert catalog.lookup("vit", size)["name"] == f"vit_{size}_patch{native}_224"
    assert (catalog.patch_size(BackboneConfig(family="vit", size=size)) or native) == 16


def test_sizes_are_one_ordinal() -> None:
    order = list(catalog.SIZES)
    for sizes in catalog.read().values():
        assert [order.index(size) for size in sizes] == sorted(order.index(size) for size in sizes)
        assert [entry["params"] for entry in sizes.values()] == sorted(entry["params"] for entry in sizes.values())
    for _, size, entry in ENTRIES:
        assert catalog.size_of(entry["params"]) == size


@pytest.mark.parametrize(("family", "size", "entry"), LIGHT, ids=lambda value: value if isinstance(value, str) else "")
def test_light_entries_look_at_masked_images(family: str, size: str, entry: dict[str, Any]) -> None:
    encoder = build_encoder(BackboneConfig(family=family, size=size), MaskingConfig(), 64)
    assert encoder.masking == entry["masking"]
    assert encoder.num_cells == catalog.mask_cells(BackboneConfig(family=family, size=size), MaskingConfig(), 64)
    mask = random_mask(torch.rand(2, encoder.num_cells), encoder.ratio(None))
    encoded = encoder.encode(torch.rand(2, 3, 64, 64), mask)
    assert encoded.features.isfinite().all()
    if encoder.masking == "pyramid":  # a native patch other than 8 changes the number of a transformer's positions
        assert sum(parameter.numel() for parameter in encoder.model.parameters()) == entry["params"]


def test_name_wins_over_family_and_size() -> None:
    assert catalog.architecture(BackboneConfig(family="vit", size="huge", name="resnet18")) == "resnet18"
    assert catalog.patch_size(BackboneConfig(family="vit", size="huge", name="resnet18")) is None


@pytest.mark.parametrize(
    ("backbone", "cells"),
    [
        (BackboneConfig(), 196),
        (BackboneConfig(patch_size=32), 49),
        (BackboneConfig(name="vit_tiny_patch16_224", patch_size=8), 784),
        (BackboneConfig(family="vit", size="huge"), 196),
        (BackboneConfig(name="vit_huge_patch14_224"), 256),  # named, it has its native patch
        (BackboneConfig(family="swin", size="small"), 49),
        (BackboneConfig(name="resnet18"), 49),
        (BackboneConfig(name="hiera_tiny_224"), None),
    ],
)
def test_cells_of_a_mask_are_known_without_a_model(backbone: BackboneConfig, cells: int | None) -> None:
    masking = MaskingConfig(unit=32)
    assert catalog.mask_cells(backbone, masking, 224) == cells
    if cells and "huge" not in catalog.architecture(backbone):
        with torch.device("meta"):
            assert build_encoder(backbone, masking, 224).num_cells == cells


def count_visible(config: Config) -> int:
    """What is known of a mask before launch."""
    cells, entry = catalog.mask_cells(config.backbone, config.masking, 64), catalog.entry_of(config.backbone)
    assert cells is not None and entry is not None
    return num_visible(cells, mask_ratio(config.masking.ratio, entry["masking"]))


@pytest.mark.parametrize(
    "settings",
    [
        {"backbone.family": "vit", "masking.ratio": 0.99},
        {"backbone.name": "vit_tiny_patch16_224", "masking.ratio": 0.95},
        {"backbone.family": "vit", "backbone.patch_size": 32},
        {"backbone.family": "vit", "backbone.patch_size": 24},
        {"backbone.family": "resnet", "masking.ratio": 0.95},
        {"backbone.name": "resnet18", "masking.ratio": 0.95},
    ],
    ids=str,
)
def test_masks_that_no_trial_could_draw_are_refused_before_a_model_is_built(settings: dict[str, object]) -> None:
    config = build({"data.image_size": 64, **settings})
    with pytest.raises(ConfigError) as early:
        count_visible(config)
    with pytest.raises(ConfigError) as late, torch.device("meta"):
        build_model(config, 2)
    assert str(early.value) == str(late.value)


@pytest.mark.parametrize(
    ("family", "size", "message"),
    [
        ("convnxt", "nano", "did you mean `convnext"),
        ("zzz", "nano", "known are `vit`"),
        ("vit", "giant", "must be one of atto"),
        ("swin", "atto", "swin comes as small, base, large"),
    ],
)
def test_unknown_entries_name_the_known(family: str, size: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        catalog.lookup(family, size)
