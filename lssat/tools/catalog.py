"""`python -m lssat.tools.catalog`: write the catalogue of backbones anew from timm's registry.

In each family and size it holds the plainest name (fewest parts between underscores); among equals the one that timm
has most pretrained weights of; then the smallest. Only architectures that encode masked images of 64 and of 224 pixels
are taken.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from typing import Any

import timm
import torch

from lssat.command import exit_code
from lssat.config import build
from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.model.catalog import PATH, SIZES, size_of
from lssat.model.encoders.build import encoder_of, meta_model, num_parameters
from lssat.model.encoders.tokens import token_unit

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
"""Mask units in pixels, one per probed image side."""
COMMON_PATCH = 16
"""Patch side of an entry whose native one does not tile the probed images."""


def generate() -> dict[str, dict[str, dict[str, Any]]]:
    """The catalogue made anew from timm's registry, on the meta device: no weights are allocated."""
    return {family: dict(_cells(pattern)) for family, pattern in FAMILIES.items()}


def _cells(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(size, entry) of a family: in each size the first candidate, in the order of preference, that encodes masked
    images.
    """
    counted = [(num_parameters(meta_model(name)), name) for name in timm.list_models() if re.fullmatch(pattern, name)]
    ranked = sorted(
        counted, key=lambda item: (item[1].count("_"), -len(timm.list_pretrained(f"{item[1]}.*")), item[0], item[1])
    )
    for size in SIZES:
        entries = (_entry(name, params) for params, name in ranked if size_of(params) == size)
        if entry := next((entry for entry in entries if entry), None):
            yield size, entry


def _entry(name: str, params: int) -> dict[str, Any] | None:
    """The entry of an architecture; None where it does not encode masked images of the probed sizes."""
    for patch in (None, COMMON_PATCH):
        try:
            masking = [
                _probe(name, patch, pixels, unit) for pixels, unit in zip(PROBED_PIXELS, PROBED_UNITS, strict=True)
            ]
        except ConfigError:
            continue
        unit = {"unit": token_unit(meta_model(name))} if masking[0] == "tokens" else {}
        return {
            "name": name,
            "params": params,
            "masking": masking[0],
            **unit,
            **({"patch_size": patch} if patch else {}),
        }
    return None


def _probe(name: str, patch: int | None, pixels: int, unit: int) -> str:
    """How an architecture masks at an image size, tried on the meta device. Raises ConfigError where it does not."""
    config = build(
        {"backbone.name": name, "backbone.patch_size": patch, "masking.unit": unit, "data.image_size": pixels}
    )
    with torch.device("meta"):
        return encoder_of(config).masking


def main() -> int:
    """Write the catalogue. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.catalog", description=__doc__)
    parser.parse_args()
    return exit_code(lambda: write_json(PATH, generate()))


if __name__ == "__main__":
    sys.exit(main())
