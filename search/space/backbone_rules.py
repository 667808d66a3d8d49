"""Rules that every backbone of a space must keep, as far as the catalogue can tell before torch is loaded. Imports
neither torch nor Ray.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lssat.config import Config
from lssat.errors import ConfigError
from lssat.inputs.mask_rule import mask_ratio, num_visible
from lssat.model import catalog
from lssat.model.weight_files import source_of
from search.space.definition import Space
from search.space.drawable import backbones

DECISIVE_KEYS = ("backbone.size", "backbone.family", "backbone.name", "data.image_size")
"""What may be at fault where the key that a message names is written nowhere."""


def check_backbones(space: Space) -> None:
    """Refuse a space that can draw a backbone which does not exist, for which a folder of weights has no file, or whose
    masks would hide all cells or none.

    Of an architecture that the catalogue lacks, nothing is known before the study builds it, which checks the same.
    Raises ConfigError with the location of the key at fault.
    """
    for config, ratios in backbones(space):
        with located(config, space.locations):
            source_of(config.backbone)
            entry = catalog.entry_of(config.backbone)
            if entry is None:
                continue
            _check_patch_size(config, entry["masking"])
            num_cells = catalog.mask_cells(config.backbone, config.masking, config.data.image_size)
            assert num_cells is not None, "the catalogue holds this architecture"
            for ratio in ratios:
                num_visible(num_cells, mask_ratio(ratio, entry["masking"]))


@contextmanager
def located(config: Config, locations: Mapping[str, str]) -> Iterator[None]:
    """Within, a ConfigError says which backbone it is about, and where the first key that it names is written."""
    try:
        yield
    except ConfigError as error:
        keys = (*re.findall(r"`([a-z_.]+)`", str(error)), *DECISIVE_KEYS)
        at = next((f" ({locations[key]})" for key in keys if key in locations), "")
        backbone = config.backbone
        raise ConfigError(f"{backbone.name or f'{backbone.family} {backbone.size}'}: {error}{at}") from None


def _check_patch_size(config: Config, masking: str) -> None:
    if config.backbone.patch_size is not None and masking != "tokens":
        raise ConfigError(
            f"`backbone.patch_size` is for flat-token backbones, but {catalog.architecture(config.backbone)} is none; "
            "add a condition to it, such as `when: {backbone.family: [vit]}`"
        )
