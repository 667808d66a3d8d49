"""The catalogue: fresh, canonical, and true to what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from lssat.config import BackboneConfig, ConfigError, MaskingConfig
from lssat.inputs.masking import random_mask
from lssat.model import catalog
from lssat.model.encoders.build import build_encoder
from lssat.tools.catalog import generate

ENTRIES = [(family, size, entry) for family, sizes in catalog.read().items() for size, entry in sizes.items()]
LIGHT = [item for item in ENTRIES if item[2]["params"] < 2.5e6]


@pytest.mark.slow
def test_catalogue_is_fresh() -> None:
    assert json.loads(catalog.PATH.read_text()) == generate(), "run `python -m lssat.tools.catalog`"


def test_reading_needs_neither_torch_nor_timm() -> None:
    code = (
        "import sys; from lssat.model import catalog; catalog.read(); assert not {'torch', 'timm'} & set(sys.modules)"
    )
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
    mask = random_mask(torch.rand(2, encoder.num_cells), encoder.default_ratio)
    encoded = encoder.encode(torch.rand(2, 3, 64, 64), mask)
    assert encoded.features.isfinite().all()
    if encoder.masking == "pyramid":  # a native patch other than 8 changes the number of a transformer's positions
        assert sum(parameter.numel() for parameter in encoder.model.parameters()) == entry["params"]


def test_name_wins_over_family_and_size() -> None:
    assert catalog.architecture(BackboneConfig(family="vit", size="huge", name="resnet18")) == "resnet18"
    assert catalog.patch_size(BackboneConfig(family="vit", size="huge", name="resnet18")) is None


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
