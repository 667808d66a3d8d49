"""Before anything starts: the backbones of a space that the catalogue does not vouch for are built once, pretrained
weights included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lssat.config import Config, build
from lssat.model import catalog
from search.space import reach
from search.space.definition import Space

DECIDING = (
    "backbone.family",
    "backbone.size",
    "backbone.name",
    "backbone.patch_size",
    "backbone.pretrained",
    "head.pooling",
    "masking.mode",
    "auxiliary",
)


def check_backbones(space: Space, say: Callable[[str], None]) -> None:
    """Build each backbone that a space can draw and that has pretrained weights, a name of timm's, a pooling or a
    masking of its own.

    Weights from the hub are then in the cache, and how they match is said. Raises ConfigError: better now than in every
    trial.
    """
    for config in drawn(space):
        backbone, pooling = config.backbone, config.head.pooling
        if not (backbone.pretrained or backbone.name or pooling != "native" or config.masking.mode != "token"):
            continue
        from lssat.model.encoders.build import build_encoder
        from lssat.model.lssat import build_model
        from lssat.model.pretrained import load_pretrained

        build_model(config, 1, trained=True)
        if backbone.pretrained:
            name = catalog.architecture(backbone)
            encoder = build_encoder(
                backbone, config.masking, config.data.image_size, masked=config.trains_auxiliary, trained=True
            )
            say(f"weights   {name}: {load_pretrained(encoder.model, name, backbone.pretrained)}")


def drawn(space: Space) -> Iterator[Config]:
    """A configuration for each combination of the choices that decide what is built; of other keys the first choice or
    the low end.
    """
    return (build(sampled, space.places) for sampled in reach.samples(space, DECIDING))
