"""Which timm architecture a family has at a size. Reading it needs neither torch nor timm.

Sizes are one ordinal for all families, by number of parameters (without classifier), from shallow to deep.
`python -m lssat.tools.catalog` writes the catalogue anew and says how it chooses.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from lssat.errors import ConfigError
from lssat.inputs.mask_rule import check_grid
from lssat.settings.model import BackboneConfig, MaskingConfig
from lssat.text.did_you_mean import nearest

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


def architecture(backbone: BackboneConfig) -> str:
    """The timm architecture of a configuration: the one that it names, or the catalogue's of its family and size.

    Raises ConfigError for a family or size that there is not.
    """
    return backbone.name or str(lookup(backbone.family, backbone.size)["name"])


def patch_size(backbone: BackboneConfig) -> int | None:
    """The patch side in pixels that the catalogue sets where the native one, 14 pixels, tiles few images; None: the
    native one. Raises ConfigError.
    """
    return None if backbone.name else lookup(backbone.family, backbone.size).get("patch_size")


def mask_cells(backbone: BackboneConfig, masking: MaskingConfig, image_size: int) -> int | None:
    """Cells of a mask over a square image of `image_size` pixels; None for an architecture that the catalogue lacks.

    Raises ConfigError where the cells do not tile the image or are too few.
    """
    entry = entry_of(backbone)
    if entry is None:
        return None
    if entry["masking"] == "tokens":
        unit = backbone.patch_size or patch_size(backbone) or entry["unit"]
        rows, columns = check_grid(image_size, unit, "backbone.patch_size")
    else:
        rows, columns = check_grid(image_size, masking.unit, "masking.unit")
    return rows * columns


def entry_of(backbone: BackboneConfig) -> dict[str, Any] | None:
    """The entry of a configuration's architecture, by its name or by family and size; None where the catalogue lacks
    the name. Raises ConfigError for a family or size that there is not.
    """
    if backbone.name is None:
        return lookup(backbone.family, backbone.size)
    return next(
        (entry for sizes in read().values() for entry in sizes.values() if entry["name"] == backbone.name), None
    )


def lookup(family: str, size: str) -> dict[str, Any]:
    """One entry: `name`, `params`, `masking`, of flat-token backbones also `unit`, the native side in pixels of one
    token, and `patch_size`, where another one is used. Raises ConfigError, naming what there is.
    """
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
    """The size at which the catalogue holds an architecture, None where it does not. What follows a dot in the name,
    which says which weights are meant, does not count.
    """
    plain = name.partition(".")[0]
    return next((size for sizes in read().values() for size, entry in sizes.items() if entry["name"] == plain), None)


def size_of(params: int) -> str:
    """The size of an architecture with so many parameters."""
    return next(size for size, end in SIZES.items() if params < end)
