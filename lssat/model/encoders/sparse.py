"""Convolutional backbones that compute with visible positions alone (SparK, arXiv 2301.03580, in its dense form).

Every operation that mixes positions - convolution, pool, squeeze-excite, global response norm, batch-norm - sees the
visible ones only: each site of a map adds up its visible neighbours, each mean is over visible positions. Between these
operations hidden positions may hold anything: they are zeroed before the next one, which equals doing so after the last
and does not depend on the biases and norms in between. A position is visible where it touches a visible unit, so a site
coarser than the unit adds up the visible part of what lies under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from timm.layers import EcaModule, EffectiveSEModule, SEModule
from timm.layers.adaptive_avgmax_pool import FastAdaptiveAvgPool
from timm.layers.grn import GlobalResponseNorm
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

from lssat.model.encoders.base import Encoded
from lssat.model.encoders.norms import VisibleAt, check_norms, norms_masked, replaced
from lssat.model.encoders.pyramid import PyramidEncoder

Rule = Callable[[VisibleAt, Any, Tensor], Tensor]
"""How a module runs on maps of which only some positions are visible."""


class SparseEncoder(PyramidEncoder):
    """A convolutional backbone of timm whose masked pass equals one that computes visible positions only; `check_exact`
    refuses the others.

    A learnable vector per kept stage stands at the hidden positions of the features, as in SparK: zero would be a
    possible value of a feature.
    """

    def __init__(self, model: Any, image_size: int, unit: int) -> None:
        """Raises ConfigError where the unit does not fit the image or the backbone, or where a norm has no rule."""
        super().__init__(model, image_size, unit, masked=False)
        check_norms(model)
        self.mask_token = nn.Parameter(torch.zeros(self.features_dim))

    def _encode_masked(self, shown: Float[Tensor, "B 3 H W"], visible_at: VisibleAt) -> Encoded:
        with self.passing(partial(positions_masked, self.model, visible_at)):
            maps, pooled = self.run(shown)
        assert self.mask_token is not None
        tokens = torch.split(self.mask_token, [stage.shape[1] for stage in maps])
        filled = [
            torch.where(visible_at(_size(stage)), stage, token.to(stage.dtype)[:, None, None])
            for stage, token in zip(maps, tokens, strict=True)
        ]
        return self._joined(filled, pooled)


@contextmanager
def positions_masked(model: nn.Module, visible_at: VisibleAt) -> Iterator[None]:
    """Within, every module of `model` that mixes positions, and has a rule, lets visible ones alone take part."""
    mixing = [module for module in model.modules() if rule_of(module)]

    def run(module: nn.Module, maps: Tensor) -> Tensor:
        rule = rule_of(module)
        assert rule is not None
        return rule(visible_at, module, maps)

    with replaced(mixing, run), norms_masked(model, visible_at):
        yield


def rule_of(module: nn.Module) -> Rule | None:
    """The rule for a module that mixes positions; None where it mixes none, or in a way that has no rule."""
    if isinstance(module, nn.Conv2d) and (1, 1) == module.kernel_size == module.stride:
        return None
    is_squeeze_with_maximum = getattr(module, "add_maxpool", False)
    is_pool_of_channels_last = getattr(module, "dim", None) == (1, 2)
    if is_squeeze_with_maximum or is_pool_of_channels_last:
        return None
    return next((rule for kind, rule in RULES.items() if isinstance(module, kind)), None)


def map_size(module: nn.Module, maps: Tensor) -> tuple[int, int]:
    """Height and width of maps [B,C,H,W], or [B,H,W,C] where the module has its channels last."""
    first = 1 if has_channels_last(module) else 2
    return maps.shape[first], maps.shape[first + 1]


def shown_to(module: nn.Module, maps: Tensor, visible_at: VisibleAt) -> Bool[Tensor, "B ..."]:
    """Where maps are visible, in the order of axes that the module has."""
    shown = visible_at(map_size(module, maps))
    return shown.permute(0, 2, 3, 1) if has_channels_last(module) else shown


def has_channels_last(module: nn.Module) -> bool:
    """Whether the module takes maps [B,H,W,C]; of those with a rule, only a global response norm may."""
    return isinstance(module, GlobalResponseNorm) and module.channel_dim == -1


def _sum(visible_at: VisibleAt, module: nn.Module, maps: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
    """Hidden positions add nothing to the neighbours that a convolution adds up, nor to the response norm's squares."""
    return _own(module, _visible_part(module, maps, visible_at))


def _maximum(visible_at: VisibleAt, module: nn.MaxPool2d, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
    """The largest of the visible; 0 where a window holds none."""
    pooled = _own(module, torch.where(visible_at(_size(maps)), maps, -torch.inf))
    return torch.where(pooled.isneginf(), 0, pooled)


def _average(visible_at: VisibleAt, module: nn.Module, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C ..."]:
    """The mean of the visible; 0 where a window holds none. Padding counts where it does in the clean pass."""
    share = visible_at(_size(maps)).to(torch.promote_types(maps.dtype, torch.float32))
    weight = _own(module, torch.ones_like(share)) / _own(module, share).clamp(min=torch.finfo(share.dtype).tiny)
    return (_own(module, _visible_part(module, maps, visible_at)) * weight).to(maps.dtype)


def _gate(visible_at: VisibleAt, module: nn.Module, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Squeeze-excite by the mean of the visible.

    The module returns maps times a function of their mean over all positions. Visible maps times
    s = positions / visible positions have the visible mean as theirs; s is then divided out of the product.
    """
    share = visible_at(_size(maps)).to(torch.promote_types(maps.dtype, torch.float32))
    scale = 1 / share.mean((2, 3), keepdim=True)
    return _own(module, maps * (share * scale).to(maps.dtype)) / scale.to(maps.dtype)


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: _sum,
    nn.MaxPool2d: _maximum,
    nn.AvgPool2d: _average,
    nn.AdaptiveAvgPool2d: _average,
    FastAdaptiveAvgPool: _average,
    SEModule: _gate,
    SqueezeExcite: _gate,
    EffectiveSEModule: _gate,
    EcaModule: _gate,
    GlobalResponseNorm: _sum,
}


def _visible_part(module: nn.Module, maps: Tensor, visible_at: VisibleAt) -> Tensor:
    """Maps with zeros where hidden.

    It is a product because that keeps channels last in memory; `masked_fill` does not, and takes 25 times as long.
    """
    return maps * shown_to(module, maps, visible_at).to(maps.dtype)


def _own(module: nn.Module, maps: Tensor) -> Tensor:
    """What the class of the module makes of its input, `replaced` or not."""
    out: Tensor = type(module).forward(module, maps)
    return out


def _size(maps: Float[Tensor, "B C H W"]) -> tuple[int, int]:
    return maps.shape[2], maps.shape[3]
