"""Flat-token transformers: hidden tokens are dropped before the first block, so that the masked pass is shorter (MAE, arXiv 2111.06377)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lssat.encoders.base import Encoded, Encoder, check_grid


class TokenEncoder(Encoder):
    """A plain vision transformer of timm. The unit of masking is its patch; class and register tokens always stay."""

    masking = "tokens"
    default_ratio = 0.75

    def __init__(self, model: Any, image_size: int) -> None:
        """`model` must pass `drops_tokens`. Raises ConfigError where the patches do not tile the image or are fewer than 16."""
        patch = model.patch_embed.patch_size[0]
        grid = check_grid(image_size, patch, "backbone.patch_size")
        colours = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
        super().__init__(grid, patch, (model.num_features, model.head_hidden_size), colours)
        self.model = model

    def encode(self, image: Float[Tensor, "B 3 H W"], mask: Bool[Tensor, "B L"] | None = None) -> Encoded:
        """See Encoder. With a mask, `features` holds the visible patches only. Raises ValueError where samples hide unequal numbers."""
        normalised = self.normalise(image)
        if mask is None:
            tokens, visible = self.model.forward_features(normalised), None
        else:
            visible = visible_positions(mask)
            with tokens_dropped(self.model, visible):
                tokens = self.model.forward_features(normalised)
        pooled = self.model.forward_head(tokens, pre_logits=True)
        return Encoded(tokens[:, self.model.num_prefix_tokens :], pooled, visible)


def drops_tokens(model: Any) -> bool:
    """Whether hidden tokens can be dropped from `model` without leaking: a plain ViT whose patch embedding does not overlap patches."""
    embed = getattr(model, "patch_embed", None)
    if not isinstance(model, VisionTransformer) or not isinstance(embed, PatchEmbed):
        return False
    return tuple(embed.proj.kernel_size) == tuple(embed.proj.stride) == tuple(embed.patch_size)


def visible_positions(mask: Bool[Tensor, "B L"]) -> Int[Tensor, "B N"]:
    """The visible positions of each sample, ascending. Raises ValueError where the samples hide unequal numbers."""
    counts = set((~mask).sum(1).tolist())
    if len(counts) != 1:
        raise ValueError(f"every sample of a batch must show equally many patches, but got {sorted(counts)}")
    return mask.to(torch.uint8).argsort(dim=1, stable=True)[:, : counts.pop()]


@contextmanager
def tokens_dropped(model: Any, visible: Int[Tensor, "B N"]) -> Iterator[None]:
    """Within, the blocks of `model` see the prefix tokens and the patches at `visible` only.

    timm passes the embedded tokens, positions added, through `patch_drop`: a hook there keeps everything else timm's own.
    """
    prefix = model.num_prefix_tokens

    def keep(_module: nn.Module, _inputs: object, tokens: Float[Tensor, "B M D"]) -> Float[Tensor, "B K D"]:
        index = visible[:, :, None].expand(-1, -1, tokens.shape[2])
        return torch.cat([tokens[:, :prefix], tokens[:, prefix:].gather(1, index)], dim=1)

    handle = model.patch_drop.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()
