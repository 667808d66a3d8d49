"""Where in a backbone the mask token stands: the output of a module that holds one vector per position of the first
stage.

timm names its stages, but not every name is a module that runs, and layouts differ: [B,C,H,W], [B,H,W,C], [B,H*W,C],
first of a tuple. So the module is searched for: one image passes, and one of the modules whose output has the stage's
width and side is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lssat.errors import ConfigError
from lssat.model.encoders.norms import VisibleAt


class Stage(NamedTuple):
    """One resolution of a backbone, as timm's `feature_info` has it."""

    level: int
    """Its position in `feature_info`, 0 for the finest."""
    module: str
    width: int
    stride: int
    """Pixels of the image per position."""


class TokenPosition(NamedTuple):
    """A module in whose output the mask token takes the hidden positions."""

    module: str
    channels_first: bool


def find_token_position(model: Any, stage: Stage, named: bool, image_size: int) -> TokenPosition:
    """Where the token stands for `stage`: at its own module where that is `named` and fits; else, among the modules
    that fit, at the outermost, the first of them to finish.

    Runs the model on one image. Raises ConfigError where nothing fits.
    """
    fitting = _fitting_modules(model, stage, image_size)
    if named and stage.module in fitting:
        return fitting[stage.module]
    if not fitting:
        raise ConfigError(
            f"`backbone.name`: timm's {type(model).__name__} has no module where a mask token could stand; choose "
            "another backbone"
        )
    return min(fitting.values(), key=lambda position: position.module.count("."))


@contextmanager
def token_inserted(
    model: Any, position: TokenPosition, visible_at: VisibleAt, token: Float[Tensor, " C"]
) -> Iterator[None]:
    """Within, the mask token takes the hidden positions in the output of the position's module."""

    def insert(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if isinstance(output, Tensor):
            return _with_token(output, position.channels_first, visible_at, token)
        return type(output)([_with_token(output[0], position.channels_first, visible_at, token), *output[1:]])

    handle = model.get_submodule(position.module).register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()


def _fitting_modules(model: Any, stage: Stage, image_size: int) -> dict[str, TokenPosition]:
    """The modules whose output has width and side of the stage, in the order in which they finish."""
    fitting: dict[str, TokenPosition] = {}
    ambiguous_is_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def record(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        channels_first = _has_channels_first(_maps_of(output), stage, image_size, ambiguous_is_last)
        if channels_first is not None:
            fitting.setdefault(name, TokenPosition(name, channels_first))

    handles = [module.register_forward_hook(partial(record, name)) for name, module in model.named_modules() if name]
    was_training = model.training
    try:
        with torch.inference_mode():
            image = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
            model.eval().forward_intermediates(image, indices=[stage.level])
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return fitting


def _with_token(
    maps: Float[Tensor, "B ..."], channels_first: bool, visible_at: VisibleAt, token: Float[Tensor, " C"]
) -> Float[Tensor, "B ..."]:
    """Maps with the token at their hidden positions, in any of the layouts."""
    if maps.ndim == 3:
        side = math.isqrt(maps.shape[1])
        return torch.where(visible_at((side, side)).flatten(1)[:, :, None], maps, token.to(maps.dtype))
    if channels_first:
        return torch.where(visible_at((maps.shape[2], maps.shape[3])), maps, token.to(maps.dtype)[:, None, None])
    return torch.where(visible_at((maps.shape[1], maps.shape[2]))[:, 0, :, :, None], maps, token.to(maps.dtype))


def _maps_of(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) and output else output


def _has_channels_first(maps: Any, stage: Stage, image_size: int, ambiguous_is_last: bool) -> bool | None:
    """Whether channels come first (True) or last (False) in the maps of one image; None: these are no maps of the
    stage.

    `ambiguous_is_last`: they are last where both could be. Convolutions without padding make sides a little smaller
    than the stride says.
    """

    def fits(*sides: int) -> bool:
        return all(0.75 < side * stage.stride / image_size < 1.25 for side in sides)

    if not isinstance(maps, Tensor) or maps.ndim not in (3, 4) or maps.shape[0] != 1:
        return None
    if maps.ndim == 3:
        side = math.isqrt(maps.shape[1])
        return False if side * side == maps.shape[1] and maps.shape[2] == stage.width and fits(side) else None
    first = maps.shape[1] == stage.width and fits(*maps.shape[2:])
    if maps.shape[3] == stage.width and fits(*maps.shape[1:3]) and (ambiguous_is_last or not first):
        return False
    return True if first else None
