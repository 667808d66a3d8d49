"""Batch-norm under a mask: statistics of the visible positions of this batch, in float32, and no buffer touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F

from lssat.config import ConfigError

Visible = Callable[[tuple[int, int]], Bool[Tensor, "B 1 H W"]]
"""Which positions of a map of a given size (H, W) are visible, for the mask of this batch."""


@contextmanager
def norms_masked(model: nn.Module, visible: Visible) -> Iterator[None]:
    """Within, every batch-norm of `model` normalises by the visible positions of the batch it sees, training or not.

    Positions that are hidden are normalised too, by the same statistics. Running statistics are neither read nor written.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.forward = partial(_forward, norm, visible)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward  # the instance attribute; the method of the class shows again


def check_norms(model: nn.Module) -> None:
    """Refuse norms with running statistics that are no plain batch-norm of maps: a masked pass would leak in. Raises ConfigError."""
    for name, module in model.named_modules():
        keeps = any(buffer.startswith("running_") for buffer, _ in module.named_buffers(recurse=False))
        if keeps and not (isinstance(module, nn.BatchNorm2d) and module.affine):
            raise ConfigError(
                f"`backbone.name`: {type(module).__name__} (`{name}`) keeps running statistics that a masked pass would spoil; "
                "choose another backbone, or train without the auxiliary task (`auxiliary: false`)"
            )


def visibility(mask: Bool[Tensor, "B L"], grid: tuple[int, int]) -> Visible:
    """The mask at any map size: a position is visible where it touches a visible unit, so at every size each sample shows something."""
    cells = (~mask).reshape(-1, 1, *grid).to(torch.float32)
    known: dict[tuple[int, int], Bool[Tensor, "B 1 H W"]] = {}

    def at(size: tuple[int, int]) -> Bool[Tensor, "B 1 H W"]:
        if size not in known:
            known[size] = F.adaptive_max_pool2d(cells, size) > 0
        return known[size]

    return at


def _forward(norm: nn.BatchNorm2d, visible: Visible, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    normalised: Tensor = _VisibleNorm.apply(maps, visible((maps.shape[2], maps.shape[3])), norm.weight, norm.bias, norm.eps)
    if isinstance(norm, BatchNormAct2d):  # timm's batch-norm that also drops and activates
        normalised = norm.act(norm.drop(normalised))
    return normalised


class _VisibleNorm(torch.autograd.Function):
    """Batch-norm whose mean and variance weigh visible positions 1/n and hidden ones 0.

    As one function with its own derivative it takes about the time of torch's batch-norm; composed of tensor operations, twice to
    five times that.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, visible: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Float[Tensor, "B C H W"]:
        rows = _rows(maps)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        share = (visible.reshape(1, -1) / visible.sum()).to(rows.dtype)
        with _full_precision(maps.device.type):
            centred = rows - share @ rows
            inverse = torch.rsqrt(share @ centred.square() + eps)
        ctx.save_for_backward(centred, share, inverse, weight)
        # The sum is made in the shape of the maps: a view of a sum could not be activated in place.
        scale, shift = inverse * weight, bias[:, None, None]
        return torch.addcmul(shift, _maps(centred, maps), scale.reshape(-1, 1, 1)).to(maps.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        centred, share, inverse, weight = ctx.saved_tensors
        rows = _rows(gradients[0]).to(centred.dtype)
        to_bias = rows.sum(0)
        to_weight = (rows * centred).sum(0, keepdim=True) * inverse
        to_rows = (rows - share.t() * (to_bias + centred * (inverse * to_weight))) * (inverse * weight)
        return _maps(to_rows, gradients[0]).to(gradients[0].dtype), None, to_weight[0], to_bias, None


def _full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast within; the meta device, where the catalogue is made, knows none."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _rows(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "N C"]:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(rows: Float[Tensor, "N C"], like: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    batch, channels, height, width = like.shape
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
