"""Backbones of timm that can look at a partly hidden image: `encoder_of` picks how.

Vision transformers that can drop hidden tokens do (tokens.py); everything else overwrites and marks hidden units
(pyramid.py) or, where asked for and exact, computes visible positions alone (sparse.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch

from lssat.config import Config
from lssat.errors import ConfigError
from lssat.inputs.mask_rule import check_grid
from lssat.inputs.masking import random_mask
from lssat.model import catalog
from lssat.model.encoders.base import Encoder
from lssat.model.encoders.checkpointing import find_segments
from lssat.model.encoders.pointwise import spare_memory
from lssat.model.encoders.pooling import set_pooling
from lssat.model.encoders.pyramid import PyramidEncoder, first_stage, read_stages
from lssat.model.encoders.sparse import SparseEncoder
from lssat.model.encoders.sparse_exactness import check_exact
from lssat.model.encoders.tokens import TokenEncoder, drops_tokens, token_unit
from lssat.model.pretrained import load_pretrained
from lssat.model.weight_files import source_of
from lssat.settings.data import DataConfig
from lssat.settings.model import BackboneConfig, MaskingConfig
from lssat.text.did_you_mean import did_you_mean


def encoder_of(config: Config, *, trained: bool = False) -> Encoder:
    """A new encoder for the images of a configuration, with random weights or those of `backbone.pretrained`.

    `trained`: all weights will come from a checkpoint, so pretrained ones are not looked for. Without the auxiliary
    task, what only a masked pass needs is left out. Raises ConfigError for unknown names, for rules that the backbone
    breaks and for weights that do not fit it.
    """
    name = catalog.architecture(config.backbone)
    check_name(name)
    sketch = meta_model(name)
    drops = drops_tokens(sketch)
    options = _token_options(config, sketch) if drops else _map_options(config, sketch)
    with _refusing(config):
        encoder = _wrapped(_create(config, sketch, options), config, drops)
    if config.backbone.pretrained and not trained:
        load_pretrained(encoder.model, name, source_of(config.backbone))
    # Only now, since another pooling drops weights of the native one, which the file may hold.
    set_pooling(encoder.model, name, config.head.pooling)
    with _refusing(config):
        _check_runs(encoder, config)
        if isinstance(encoder, SparseEncoder) and not encoder.mean.is_meta:  # without weights there is nothing to try
            check_exact(encoder, name, config.data.image_size)
    if config.resources.activation_checkpointing:
        encoder.segments = _segments_of(encoder, config.data.image_size)
    return encoder


def build_encoder(
    backbone: BackboneConfig, masking: MaskingConfig, image_size: int, *, masked: bool = True, trained: bool = False
) -> Encoder:
    """As `encoder_of`, of a configuration that is the default in all else: pooling is native. `masked`: with the
    auxiliary task.
    """
    config = Config(backbone=backbone, masking=masking, data=DataConfig(image_size=image_size), auxiliary=masked)
    return encoder_of(config, trained=trained)


def meta_model(name: str) -> Any:
    """timm's model of an architecture, without a classifier, on the meta device: it has shapes and no weights."""
    with torch.device("meta"):
        return timm.create_model(name, pretrained=False, num_classes=0)


def num_parameters(model: Any) -> int:
    """All weights of a model, trained or not."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_name(name: str) -> None:
    """Raises ConfigError where timm has no architecture of that name."""
    if timm.is_model(name) and "." not in name:
        return
    hint = did_you_mean(name.split(".")[0], timm.list_models()) or "`timm.list_models()` lists them"
    raise ConfigError(f"`backbone.name` must be an architecture of timm, but got {name!r}; {hint}")


def _token_options(config: Config, sketch: Any) -> dict[str, Any]:
    """What timm's model is made with where tokens are dropped. Raises ConfigError where a setting does not fit."""
    takes_patch = "patch_size" in _accepted(sketch)
    if not takes_patch:
        _refuse_patch_size(config)
    unit = config.backbone.patch_size or catalog.patch_size(config.backbone) or token_unit(sketch)
    check_grid(config.data.image_size, unit, "backbone.patch_size" if takes_patch else None)
    if config.trains_auxiliary and config.masking.mode == "sparse":
        raise ConfigError(
            f"`masking.mode` sparse is for convolutional backbones, but {catalog.architecture(config.backbone)} drops "
            "hidden tokens, which is as exact; leave it out"
        )
    return {"patch_size": unit} if takes_patch else {}


def _map_options(config: Config, sketch: Any) -> dict[str, Any]:
    """What timm's model is made with where its maps are masked. Raises ConfigError where a setting does not fit."""
    _refuse_patch_size(config)
    first_stage(read_stages(sketch), config.masking.unit)
    return _fitted_window(sketch, config.data.image_size)


def _refuse_patch_size(config: Config) -> None:
    if config.backbone.patch_size is not None:
        raise ConfigError(
            f"`backbone.patch_size` is for plain vision transformers, but got {config.backbone.patch_size} with "
            f"{catalog.architecture(config.backbone)}; leave it out"
        )


@contextmanager
def _refusing(config: Config) -> Iterator[None]:
    """Within, whatever timm's model raises becomes a ConfigError that names architecture and image size: its classes
    fail in many ways, and those two are what can be changed.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"`backbone.name`: timm's {catalog.architecture(config.backbone)} does not encode masked images of "
            f"{config.data.image_size} pixels ({type(error).__name__}: {error}); change `data.image_size`, or choose a "
            "family of lssat/model/catalog.json"
        ) from error


def _create(config: Config, sketch: Any, options: dict[str, Any]) -> Any:
    """timm's model without a classifier; options that its class does not take are left out (a convolution needs no
    `img_size`).
    """
    options = {"img_size": config.data.image_size, "drop_path_rate": config.backbone.drop_path_rate, **options}
    options = _taken(sketch, options)
    model = timm.create_model(catalog.architecture(config.backbone), pretrained=False, num_classes=0, **options)
    spare_memory(model)
    return model


def _taken(sketch: Any, options: dict[str, Any]) -> dict[str, Any]:
    known = _accepted(sketch)
    return {key: value for key, value in options.items() if key in known}


def timm_options(config: Config) -> dict[str, Any]:
    """With which `timm.create_model` makes this encoder, natively pooled, for whoever does without this package."""
    sketch = meta_model(catalog.architecture(config.backbone))
    options = _token_options(config, sketch) if drops_tokens(sketch) else _map_options(config, sketch)
    return {"num_classes": 0} | _taken(sketch, {"img_size": config.data.image_size, **options})


def _wrapped(model: Any, config: Config, drops: bool) -> Encoder:
    """The encoder around timm's model."""
    if drops:
        return TokenEncoder(model, config.data.image_size)
    if config.trains_auxiliary and config.masking.mode == "sparse":
        return SparseEncoder(model, config.data.image_size, config.masking.unit)
    return PyramidEncoder(model, config.data.image_size, config.masking.unit, config.trains_auxiliary)


def _check_runs(encoder: Encoder, config: Config) -> None:
    """Encode one image, so that a backbone that does not take its size fails here, not in the first step."""
    was_training, side = encoder.training, config.data.image_size
    image = torch.zeros(1, 3, side, side, device=encoder.mean.device)
    noise = torch.zeros(1, encoder.num_cells, device=image.device)
    mask = random_mask(noise, 0.5) if config.trains_auxiliary and encoder.masking == "pyramid" else None
    with torch.inference_mode():
        encoded = encoder.eval().encode(image, mask)
    encoder.train(was_training)
    assert encoded.features.shape == (1, encoder.num_cells, encoder.features_dim), catalog.architecture(config.backbone)
    assert encoded.pooled.shape == (1, encoder.pooled_dim), catalog.architecture(config.backbone)


def _segments_of(encoder: Encoder, image_size: int) -> tuple[str, ...]:
    image = torch.zeros(1, 3, image_size, image_size, device=encoder.mean.device)
    was_training = encoder.training
    with torch.inference_mode():
        segments = find_segments(encoder.model, lambda: encoder.eval().encode(image))
    encoder.train(was_training)
    return tuple(segments)


def _fitted_window(sketch: Any, image_size: int) -> dict[str, int]:
    """For backbones with square attention windows: the largest, not above the native one, that tiles every stage at
    this image size.

    Some classes of timm need none: they pad, or take windows as a share of the image.
    """
    windows = (getattr(module, "window_size", None) for module in sketch.modules())
    native = next((window[0] for window in windows if isinstance(window, tuple)), None)
    known = _accepted(sketch)
    if native is None or "window_size" not in known or "window_ratio" in known:
        return {}
    sides = [image_size // stage.stride for stage in read_stages(sketch)]
    return {"window_size": next(w for w in range(native, 0, -1) if all(side <= w or side % w == 0 for side in sides))}


def _accepted(sketch: Any) -> set[str]:
    """The names of the options that the class of a timm model takes."""
    return {option for ancestor in type(sketch).__mro__ for option in inspect.signature(ancestor).parameters}
