"""Before anything starts: the backbones of a space that the catalogue does not vouch for are built once, pretrained weights included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from optuna.trial import FixedTrial

from lssat import catalog
from lssat.config import Config, build
from search.space import Parameter, Space

DECIDING = ("backbone.family", "backbone.size", "backbone.name", "backbone.patch_size", "backbone.pretrained", "head.pooling", "masking.mode", "auxiliary")


def check_backbones(space: Space, say: Callable[[str], None]) -> None:
    """Build each backbone that a space can draw and that has pretrained weights, a name of timm's, a pooling or a masking of its own.

    Weights from the hub are then in the cache, and how they match is said. Raises ConfigError: better now than in every trial.
    """
    for config in drawn(space):
        backbone, pooling = config.backbone, config.head.pooling
        if not (backbone.pretrained or backbone.name or pooling != "native" or config.masking.mode != "token"):
            continue
        from lssat.encoders import build_encoder
        from lssat.model import build_model
        from lssat.pretrained import load_pretrained

        build_model(config, 1, trained=True)
        if backbone.pretrained:
            name = catalog.architecture(backbone)
            encoder = build_encoder(backbone, config.masking, config.data.image_size, masked=config.trains_auxiliary, trained=True)
            say(f"weights   {name}: {load_pretrained(encoder.model, name, backbone.pretrained)}")


def drawn(space: Space) -> Iterator[Config]:
    """A configuration for each combination of the choices that decide what is built; of other keys the first choice or the low end."""
    keys = _with_conditions(space)
    narrowed = replace(space, parameters=tuple(p if p.choices and p.key in keys else _first_alone(p) for p in space.parameters))
    for point in narrowed.points():
        yield build(narrowed.sample(FixedTrial(point)), space.places)


def _first_alone(parameter: Parameter) -> Parameter:
    return replace(parameter, choices=parameter.choices[:1] or (parameter.low,))


def _with_conditions(space: Space) -> set[str]:
    """The deciding keys, and those whose values decide whether these are drawn."""
    keys = set(DECIDING)
    while more := {key for parameter in space.parameters if parameter.key in keys for key in parameter.when} - keys:
        keys |= more
    return keys
