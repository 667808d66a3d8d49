"""Where in a backbone the mask token stands: the output of a module that holds one vector per position of the first
stage.

timm names its stages, but not every name is a module that runs, and layouts differ: [B,C,H,W], [B,H,W,C], [B,H*W,C],
first of a tuple. So the place is looked for: one image passes, and of the modules whose output has the stage's width
and side one is taken.
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

from lssat.config import ConfigError
from lssat.model.encoders.norms import Visible


class Stage(NamedTuple):
    """One resolution of a backbone, as timm's `feature_info` has it."""

    number: int
    module: str
    width: int
    stride: int


class Place(NamedTuple):
    """A module whose output takes the mask token."""

    module: str
    channels_first: bool


def find_place(model: Any, stage: Stage, named: bool, image_size: int) -> Place:
    """The place of `stage`: its own module where that is `named`; else of the outermost modules that fit the first to
    finish.

    Runs the model on one image. Raises ConfigError where nothing fits.
    """
    fitting: dict[str, Place] = {}

    def look(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        channels_first = _layout(
            _maps_of(output), stage, image_size, last=getattr(model, "output_fmt", "NCHW") == "NHWC"
        )
        if channels_first is not None:
            fitting.setdefault(name, Place(name, channels_first))

    handles = [module.register_forward_hook(partial(look, name)) for name, module in model.named_modules() if name]
    training = model.training
    try:
        with torch.inference_mode():
            image = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
            model.eval().forward_intermediates(image, indices=[stage.number])
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    if named and stage.module in fitting:
        return fitting[stage.module]
    if not fitting:
        raise ConfigError(
            f"`backbone.name`: timm's {type(model).__name__} has no module where a mask token could stand; choose "
            "another backbone"
        )
    return min(fitting.values(), key=lambda place: place.module.count("."))


@contextmanager
def token_inserted(model: Any, place: Place, visible: Visible, token: Float[Tensor, " C"]) -> Iterator[None]:
    """Within, the mask token stands at the hidden positions of the place."""

    def insert(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if isinstance(output, Tensor):
            return _insert(output, place.channels_first, visible, token)
        return type(output)([_insert(output[0], place.channels_first, visible, token), *output[1:]])

    handle = model.get_submodule(place.module).register_forward_hook(insert)
    try:
        yield
    finally:
        handle.remove()


def _insert(
    maps: Float[Tensor, "B ..."], channels_first: bool, visible: Visible, token: Float[Tensor, " C"]
) -> Float[Tensor, "B ..."]:
    if maps.ndim == 3:
        side = math.isqrt(maps.shape[1])
        return torch.where(visible((side, side)).flatten(1)[:, :, None], maps, token.to(maps.dtype))
    if channels_first:
        return torch.where(visible((maps.shape[2], maps.shape[3])), maps, token.to(maps.dtype)[:, None, None])
    return torch.where(visible((maps.shape[1], maps.shape[2]))[:, 0, :, :, None], maps, token.to(maps.dtype))


def _maps_of(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) and output else output


def _layout(maps: Any, stage: Stage, image_size: int, *, last: bool) -> bool | None:
    """Whether channels come first (True) or last (False) in the maps of one image; None: these are no maps of the
    stage.

    `last`: what it is where both could be. Convolutions without padding make sides a little smaller than the stride
    says.
    """

    def fits(*sides: int) -> bool:
        return all(0.75 < side * stage.stride / image_size < 1.25 for side in sides)

    if not isinstance(maps, Tensor) or maps.ndim not in (3, 4) or maps.shape[0] != 1:
        return None
    if maps.ndim == 3:
        side = math.isqrt(maps.shape[1])
        return False if side * side == maps.shape[1] and maps.shape[2] == stage.width and fits(side) else None
    first = maps.shape[1] == stage.width and fits(*maps.shape[2:])
    if maps.shape[3] == stage.width and fits(*maps.shape[1:3]) and (last or not first):
        return False
    return True if first else None
