"""Before anything starts: the backbones of a space that the catalogue does not vouch for are built once, pretrained
weights included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lssat.command import Notify
from lssat.config import Config
from lssat.inputs.mask_rule import num_visible
from lssat.model import catalog
from search.space.backbone_rules import located
from search.space.definition import Space
from search.space.drawable import backbones

if TYPE_CHECKING:
    from lssat.model.encoders.base import Encoder


def check_by_building(space: Space, notify: Notify) -> None:
    """Build each backbone that a space can draw and that has pretrained weights, a name of timm's, a pooling or a
    masking of its own; and see that every `masking.ratio` of the space hides some of its cells and shows some.

    Weights from the hub are then in the cache, and a line tells how they match. Raises ConfigError: better now than in
    every trial.
    """
    for config, ratios in backbones(space):
        if _needs_building(config):
            with located(config, space.locations):
                encoder = _build(config, notify)
                for ratio in ratios:
                    num_visible(encoder.num_cells, encoder.ratio(ratio))


def _needs_building(config: Config) -> bool:
    backbone = config.backbone
    is_plain = config.head.pooling == "native" and config.masking.mode == "token"
    return bool(backbone.pretrained or backbone.name or not is_plain)


def _build(config: Config, notify: Notify) -> Encoder:
    from lssat.model.encoders.build import build_encoder
    from lssat.model.lssat import build_model
    from lssat.model.pretrained import load_pretrained

    backbone = config.backbone
    model = build_model(config, 1, trained=True)
    if backbone.pretrained:
        name = catalog.architecture(backbone)
        encoder = build_encoder(
            backbone, config.masking, config.data.image_size, masked=config.trains_auxiliary, trained=True
        )
        notify(f"weights   {name}: {load_pretrained(encoder.model, name, backbone.pretrained)}")
    return model.encoder
