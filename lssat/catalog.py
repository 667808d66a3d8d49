"""Which timm architecture a family has at a size. Reading it needs neither torch nor timm; `python -m lssat.catalog` writes it anew.

Sizes are one ordinal for all families, by number of parameters (without classifier), from shallow to deep. In each family and size the
catalogue holds the plainest name (fewest parts between underscores); among equals the one that timm has most pretrained weights
of; then the smallest. Kept are architectures that look at masked images of 64 and of 224 pixels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from lssat.config import BackboneConfig, ConfigError, build
from lssat.nearest import nearest

PATH = Path(__file__).with_name("catalog.json")

SIZES: dict[str, float] = {
    "atto": 0.5e6,
    "femto": 1e6,
    "pico": 2.5e6,
    "nano": 5e6,
    "tiny": 12e6,
    "small": 40e6,
    "base": 130e6,
    "large": 400e6,
    "huge": float("inf"),
}
"""Each size ends below this number of parameters."""

FAMILIES: dict[str, str] = {
    "vit": r"vit_[a-z]+_patch\d+_224|test_vit\d?",
    "deit": r"deit_[a-z]+_patch\d+_224",
    "deit3": r"deit3_[a-z]+_patch\d+_224",
    "swin": r"swin_[a-z]+_patch4_window\d+_\d+",
    "swinv2": r"swinv2_[a-z]+_window\d+_\d+",
    "resnet": r"(test_)?resnet(\d+t?)?",
    "resnetv2": r"resnetv2_\d+",
    "densenet": r"densenet\d+d?",
    "regnet": r"regnety_\d+|regnetx_002",
    "efficientnet": r"(test_)?efficientnet(_b\d|_l2)?",
    "mobilenetv2": r"mobilenetv2_\d+d?",
    "mobilenetv3": r"mobilenetv3_(small|large)_\d+d?",
    "mobilenetv4": r"mobilenetv4_conv_[a-z]+(_\d+)?",
    "lcnet": r"lcnet_\d+",
    "starnet": r"starnet_s\d+",
    "fasternet": r"fasternet_[a-z]\d?",
    "convnext": r"(test_)?convnext\d?(_[a-z]+)?(_rms)?",
    "convnextv2": r"convnextv2_[a-z]+",
    "mambaout": r"(test_)?mambaout(_[a-z]+)?",
    "caformer": r"caformer_[a-z]\d+",
    "pvt_v2": r"pvt_v2_b\d",
}
"""The architectures of each family, as a pattern over timm's names; its tiny test models are the small ends."""

PROBED_PIXELS = (64, 224)
PROBED_UNITS = (16, 32)
COMMON_PATCH = 16


def architecture(backbone: BackboneConfig) -> str:
    """The timm architecture of a configuration: its name, or what the catalogue holds for its family and size. Raises ConfigError."""
    return backbone.name or str(lookup(backbone.family, backbone.size)["name"])


def patch_size(backbone: BackboneConfig) -> int | None:
    """The patch side that the catalogue gives where the native one fits few images (14 pixels); None: the native one. Raises ConfigError."""
    return None if backbone.name else lookup(backbone.family, backbone.size).get("patch_size")


def lookup(family: str, size: str) -> dict[str, Any]:
    """One entry: `name`, `params`, `masking` and, where it is not the native one, `patch_size`. Raises ConfigError, naming what there is."""
    families = read()
    if family not in families:
        raise ConfigError(f"`backbone.family` {family!r} is not in the catalogue; {nearest(family, families)}")
    if size not in SIZES:
        raise ConfigError(f"`backbone.size` must be one of {', '.join(SIZES)}, but got {size!r}")
    if size not in families[family]:
        raise ConfigError(f"`backbone.size`: {family} comes as {', '.join(families[family])}, but got {size!r}")
    return families[family][size]


@lru_cache(maxsize=1)
def read() -> dict[str, dict[str, dict[str, Any]]]:
    """The catalogue: family -> size -> entry; sizes from shallow to deep."""
    catalogue: dict[str, dict[str, dict[str, Any]]] = json.loads(PATH.read_text())
    return catalogue


def size_named(name: str) -> str | None:
    """The size at which the catalogue holds an architecture, whatever the weights that its name asks for; None where it does not."""
    plain = name.partition(".")[0]
    return next((size for sizes in read().values() for size, entry in sizes.items() if entry["name"] == plain), None)


def size_of(params: int) -> str:
    """The size of an architecture with so many parameters."""
    return next(size for size, end in SIZES.items() if params < end)


def generate() -> dict[str, dict[str, dict[str, Any]]]:
    """The catalogue made anew from timm's registry, on the meta device: no weights are allocated."""
    return {family: dict(_cells(pattern)) for family, pattern in FAMILIES.items()}


def _cells(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(size, entry) of a family: in each size the first candidate, in the order of preference, that can look at masked images."""
    import timm

    counted = [(_parameters(name), name) for name in timm.list_models() if re.fullmatch(pattern, name)]
    ranked = sorted(counted, key=lambda item: (item[1].count("_"), -len(timm.list_pretrained(f"{item[1]}.*")), item[0], item[1]))
    for size in SIZES:
        entries = (_entry(name, params) for params, name in ranked if size_of(params) == size)
        if entry := next((entry for entry in entries if entry), None):
            yield size, entry


def _parameters(name: str) -> int:
    import timm
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(name, pretrained=False, num_classes=0).parameters())


def _entry(name: str, params: int) -> dict[str, Any] | None:
    """The entry of an architecture; None where it cannot look at masked images of the probed sizes."""
    for patch in (None, COMMON_PATCH):
        try:
            masking = [_probe(name, patch, pixels, unit) for pixels, unit in zip(PROBED_PIXELS, PROBED_UNITS, strict=True)]
        except ConfigError:
            continue
        return {"name": name, "params": params, "masking": masking[0]} | ({"patch_size": patch} if patch else {})
    return None


def _probe(name: str, patch: int | None, pixels: int, unit: int) -> str:
    """How an architecture masks at an image size, tried on the meta device. Raises ConfigError where it does not."""
    import torch

    from lssat.encoders import build_encoder

    config = build({"backbone.name": name, "backbone.patch_size": patch, "masking.unit": unit, "data.image_size": pixels})
    with torch.device("meta"):
        return build_encoder(config.backbone, config.masking, pixels).masking


if __name__ == "__main__":
    PATH.write_text(json.dumps(generate(), indent=2) + "\n")
