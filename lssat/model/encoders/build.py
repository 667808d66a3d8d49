"""Backbones of timm that can look at a partly hidden image: `build_encoder` picks how.

Vision transformers that can drop hidden tokens (tokens.py); everything else overwrites and marks them (pyramid.py) or,
where asked for and exact, computes visible positions alone (sparse.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch

from lssat.config import BackboneConfig, ConfigError, MaskingConfig
from lssat.inputs.masking import random_mask
from lssat.inputs.visible import check_grid
from lssat.model import catalog
from lssat.model.encoders.base import Encoded, Encoder
from lssat.model.encoders.exactness import check_exact
from lssat.model.encoders.pooling import Pooling, set_pooling
from lssat.model.encoders.pyramid import PyramidEncoder, first_stage, read_stages
from lssat.model.encoders.sparse import SparseEncoder
from lssat.model.encoders.tokens import TokenEncoder, drops_tokens, token_unit
from lssat.model.pretrained import load_pretrained
from lssat.nearest import did_you_mean

__all__ = ["Encoded", "Encoder", "build_encoder"]


def build_encoder(
    backbone: BackboneConfig,
    masking: MaskingConfig,
    image_size: int,
    *,
    masked: bool = True,
    pooling: Pooling = "native",
    trained: bool = False,
) -> Encoder:
    """A new encoder for square images of `image_size` pixels, with random weights or those of `backbone.pretrained`.

    `masked` False leaves out what only a masked pass needs; `trained` leaves out pretrained weights, as others will
    take their place. Raises ConfigError for unknown names, for rules that the backbone breaks and for weights that do
    not fit it.
    """
    name = catalog.architecture(backbone)
    check_name(name)
    with torch.device("meta"):
        plan = timm.create_model(name, pretrained=False, num_classes=0)
    drops, takes_patch = drops_tokens(plan), "patch_size" in accepted(plan)
    if backbone.patch_size is not None and not (drops and takes_patch):
        raise ConfigError(
            f"`backbone.patch_size` is for plain vision transformers, but got {backbone.patch_size} with {name}; "
            "leave it out"
        )
    options: dict[str, Any] = {"img_size": image_size, "drop_path_rate": backbone.drop_path_rate}
    if drops:
        unit = backbone.patch_size or catalog.patch_size(backbone) or token_unit(plan)
        check_grid(image_size, unit, "backbone.patch_size" if takes_patch else "data.image_size")
        options |= {"patch_size": unit} if takes_patch else {}
    else:
        first_stage(read_stages(plan), masking.unit)
        options |= fitted_window(plan, image_size)
    sparse = masked and masking.mode == "sparse"
    if sparse and drops:
        raise ConfigError(
            f"`masking.mode` sparse is for convolutional backbones, but {name} drops hidden tokens, which is as "
            "exact; leave it out"
        )
    with refusing(name, image_size):
        encoder = wrap(create(plan, name, options), drops, sparse, image_size, masking.unit, masked)
    if backbone.pretrained and not trained:
        load_pretrained(encoder.model, name, backbone.pretrained)
    set_pooling(encoder.model, name, pooling)  # now, as it drops native pooling's weights, which the file may hold
    with refusing(name, image_size):
        check_runs(encoder, name, image_size, masked)
        if isinstance(encoder, SparseEncoder):
            check_exact(encoder, name, image_size)
    return encoder


def wrap(model: Any, drops: bool, sparse: bool, image_size: int, unit: int, masked: bool) -> Encoder:
    """The encoder around timm's model."""
    if drops:
        return TokenEncoder(model, image_size)
    return SparseEncoder(model, image_size, unit) if sparse else PyramidEncoder(model, image_size, unit, masked)


def check_name(name: str) -> None:
    """Raises ConfigError where timm has no architecture of that name."""
    if timm.is_model(name) and "." not in name:
        return
    hint = did_you_mean(name.split(".")[0], timm.list_models()) or "`timm.list_models()` lists them"
    raise ConfigError(f"`backbone.name` must be an architecture of timm, but got {name!r}; {hint}")


@contextmanager
def refusing(name: str, image_size: int) -> Iterator[None]:
    """Within, whatever timm's model raises tells of name and size: they fail in many ways, all of them the fault of
    these two.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"`backbone.name`: timm's {name} does not encode masked images of {image_size} pixels "
            f"({type(error).__name__}: {error}); change `data.image_size`, or choose a family of "
            "lssat/model/catalog.json"
        ) from error


def check_runs(encoder: Encoder, name: str, image_size: int, masked: bool) -> None:
    """Encode one image, so that a backbone that does not take its size fails here, not in the first step."""
    training = encoder.training
    image = torch.zeros(1, 3, image_size, image_size, device=encoder.mean.device)
    noise = torch.zeros(1, encoder.num_cells, device=image.device)
    mask = random_mask(noise, 0.5) if masked and encoder.masking == "pyramid" else None
    with torch.inference_mode():
        encoded = encoder.eval().encode(image, mask)
    encoder.train(training)
    assert encoded.features.shape == (1, encoder.num_cells, encoder.features_dim), name
    assert encoded.pooled.shape == (1, encoder.pooled_dim), name


def create(plan: Any, name: str, options: dict[str, Any]) -> Any:
    """timm's model without a classifier; options that its class does not take are left out (a convolution needs no
    `img_size`).
    """
    known = accepted(plan)
    return timm.create_model(
        name, pretrained=False, num_classes=0, **{key: value for key, value in options.items() if key in known}
    )


def fitted_window(plan: Any, image_size: int) -> dict[str, int]:
    """For backbones with square attention windows: the largest, not above the native one, that tiles every stage at
    this image size.

    Some classes of timm need none: they pad, or take windows as a share of the image.
    """
    native = next(
        (module.window_size[0] for module in plan.modules() if isinstance(getattr(module, "window_size", None), tuple)),
        None,
    )
    if native is None or "window_size" not in accepted(plan) or "window_ratio" in accepted(plan):
        return {}
    sides = [image_size // stage.stride for stage in read_stages(plan)]
    return {"window_size": next(w for w in range(native, 0, -1) if all(side <= w or side % w == 0 for side in sides))}


def accepted(plan: Any) -> set[str]:
    """The names of the options that the class of a timm model takes."""
    return {option for ancestor in type(plan).__mro__ for option in inspect.signature(ancestor).parameters}
