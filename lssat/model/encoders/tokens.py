"""Flat-token transformers: hidden tokens are dropped before the first block, so that the masked pass is shorter (MAE,
arXiv 2111.06377).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from timm.layers import PatchEmbed
from timm.models.beit import Attention as BeitAttention
from timm.models.beit import Beit, RelativePositionBias
from timm.models.eva import Eva
from timm.models.hiera import Hiera
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lssat.inputs.masking import Mask, pixel_mask
from lssat.model.encoders.base import Encoded, Encoder
from lssat.model.encoders.checkpointing import Changed


class TokenEncoder(Encoder):
    """A vision transformer of timm. The unit of masking is its patch (Hiera: its mask unit); class and register tokens
    are never hidden.
    """

    masking = "tokens"

    def __init__(self, model: Any, image_size: int) -> None:
        """`model` must pass `drops_tokens`, and its units `check_grid`."""
        unit = token_unit(model)
        assert image_size % unit == 0, "units tile the image"
        super().__init__(model, (image_size // unit, image_size // unit), unit, model.num_features)
        self.prefix = getattr(model, "num_prefix_tokens", 0)
        self.model = model

    def encode(self, image: Float[Tensor, "B 3 H W"], mask: Mask | None = None) -> Encoded:
        """See Encoder. With a mask, `features` holds the visible units only."""
        normalised = self.normalise(image)
        if mask is None:
            tokens = self._tokens(normalised, nullcontext)
        elif isinstance(self.model, Hiera):
            # Its patches overlap, so hidden pixels are zeroed first, as in its own masked pass.
            shown = normalised * ~pixel_mask(mask.hidden, self.grid, (image.shape[2], image.shape[3]))
            tokens = self._tokens(shown, partial(_units_dropped, self.model, mask.visible))
        else:
            tokens = self._tokens(normalised, partial(tokens_dropped, self.model, mask.visible))
        pooled = self.model.forward_head(tokens, pre_logits=True)
        return Encoded(tokens[:, self.prefix :], pooled)

    def _tokens(self, normalised: Float[Tensor, "B 3 H W"], changed: Changed) -> Float[Tensor, "B M D"]:
        with self.passing(changed):
            tokens: Tensor = self.model.forward_features(normalised)
        return tokens


def drops_tokens(model: Any) -> bool:
    """Whether tokens of hidden patches can be dropped from `model` so that nothing of them reaches the others.

    They can in ViT, EVA and BEiT where the patch embedding does not overlap patches, and in Hiera where its last stage
    has one token per mask unit.
    """
    if isinstance(model, Hiera):
        return all(
            side == stride**model.q_pool for side, stride in zip(model.mask_unit_size, model.q_stride, strict=True)
        )
    embed = getattr(model, "patch_embed", None)
    if not isinstance(model, VisionTransformer | Eva | Beit) or not isinstance(embed, PatchEmbed):
        return False
    return tuple(embed.proj.kernel_size) == tuple(embed.proj.stride) == tuple(embed.patch_size)


def token_unit(model: Any) -> int:
    """Side in pixels of what one token of the last block stands for."""
    is_hiera = isinstance(model, Hiera)
    unit: int = model.patch_stride[0] * model.mask_unit_size[0] if is_hiera else model.patch_embed.patch_size[0]
    return unit


@contextmanager
def tokens_dropped(model: Any, visible: Int[Tensor, "B N"]) -> Iterator[None]:
    """Within, the blocks of `model` see the prefix tokens and the patches at `visible` only.

    timm passes the embedded tokens, positions added, through `patch_drop` (ViT, EVA) or `pos_drop` (BEiT); they are
    dropped there. Relative positions are cut down to those of the tokens that stay. Everything else is timm's own.
    """
    prefix = model.num_prefix_tokens

    def keep(_module: nn.Module, _inputs: object, tokens: Float[Tensor, "B M D"]) -> Float[Tensor, "B K D"]:
        index = visible[:, :, None].expand(-1, -1, tokens.shape[2])
        return torch.cat([tokens[:, :prefix], tokens[:, prefix:].gather(1, index)], dim=1)

    with ExitStack() as stack:
        if isinstance(model, Eva):
            dropping, model.patch_drop = model.patch_drop, lambda tokens: (keep(model, (), tokens), visible)
            stack.callback(setattr, model, "patch_drop", dropping)
        elif isinstance(model, Beit):
            stack.callback(model.pos_drop.register_forward_hook(keep).remove)
            stack.enter_context(_biases_cut(model, visible))
        else:
            stack.callback(model.patch_drop.register_forward_hook(keep).remove)
        yield


@contextmanager
def _units_dropped(model: Hiera, visible: Int[Tensor, "B N"]) -> Iterator[None]:
    """Within, the blocks of Hiera see the tokens of the mask units at `visible` only.

    Hiera can drop units itself, but does so by a boolean index, for which the device is asked how many they are. Its
    tokens are in the order (position in the unit, unit) there.
    """

    def keep(_module: nn.Module, _inputs: object, tokens: Float[Tensor, "B M D"]) -> Float[Tensor, "B K D"]:
        first = torch.arange(0, tokens.shape[1], tokens.shape[1] // model.mu_size, device=tokens.device)
        index = (first[:, None] + visible[:, None, :]).flatten(1)
        return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))

    handle = model.unroll.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _biases_cut(model: Beit, visible: Int[Tensor, "B N"]) -> Iterator[None]:
    """Within, BEiT's biases of relative position [1,heads,M,M] (shared ones: [heads,M,M]) are those between the class
    token and the visible patches [B,heads,K,K].
    """
    kept = torch.cat([torch.zeros_like(visible[:, :1]), visible + 1], dim=1)

    def cut(bias: Float[Tensor, "*one h M M"]) -> Float[Tensor, "B h K K"]:
        return bias.reshape(bias.shape[-3:])[:, kept[:, :, None], kept[:, None, :]].transpose(0, 1)

    def cut_output(_module: nn.Module, _inputs: object, bias: Tensor) -> Tensor:
        return cut(bias)

    def cut_own(attention: BeitAttention) -> Tensor:
        return cut(type(attention)._get_rel_pos_bias(attention))

    shared = [
        module.register_forward_hook(cut_output)
        for module in model.modules()
        if isinstance(module, RelativePositionBias)
    ]
    attentions = [module for module in model.modules() if isinstance(module, BeitAttention)]
    for attention in attentions:
        attention._get_rel_pos_bias = partial(cut_own, attention)
    try:
        yield
    finally:
        for attention in attentions:
            del attention._get_rel_pos_bias  # the instance attribute; the method of the class shows again
        for handle in shared:
            handle.remove()
