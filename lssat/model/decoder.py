"""The light decoder: from the features of a partly hidden image to a prediction for every patch (MAE, arXiv
2111.06377).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from lssat.inputs.masking import Mask
from lssat.model.encoders.base import Encoded
from lssat.model.encoders.checkpointing import checkpointed
from lssat.settings.model import DecoderConfig


class Decoder(nn.Module):
    """Embeds features, puts each at its position and a mask token at the hidden ones, and runs a few pre-norm
    transformer blocks.
    """

    position: Float[Tensor, "1 L E"]
    checkpoints: bool
    """Whether the backward pass computes the blocks again (activation checkpointing)."""

    def __init__(
        self, features_dim: int, grid: tuple[int, int], out_width: int, config: DecoderConfig, *, fills: bool
    ) -> None:
        """`grid`: patches (down, across); `out_width`: numbers predicted per patch.

        `fills`: the encoder drops hidden tokens, so that the decoder puts mask tokens at their positions.
        """
        super().__init__()
        self.embed = nn.Linear(features_dim, config.dim)
        self.mask_token = nn.Parameter(torch.empty(config.dim)) if fills else None
        self.register_buffer("position", sincos_positions(grid, config.dim)[None], persistent=False)
        self.blocks = nn.Sequential(*(Block(config.dim, config.num_heads, qkv_bias=True) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.dim)
        self.predict = nn.Linear(config.dim, out_width)
        self.checkpoints = False
        self._initialise()

    def forward(self, encoded: Encoded, mask: Mask) -> Float[Tensor, "B L P"]:
        """A prediction for every patch, hidden or not; `mask` is the one that the encoder saw."""
        tokens = self.embed(encoded.features)
        if self.mask_token is not None:
            tokens = _filled(tokens, mask, self.mask_token)
        pred: Tensor = self.predict(self._mixed(tokens))
        return pred

    def pooled(self, encoded: Encoded) -> Float[Tensor, "B E"]:
        """The mean over all patches of the decoder's tokens before its prediction; nothing of the image is hidden."""
        return self._mixed(self.embed(encoded.features)).mean(1)

    def _mixed(self, tokens: Float[Tensor, "B L E"]) -> Float[Tensor, "B L E"]:
        with checkpointed(list(self.blocks) if self.checkpoints and self.training else []):
            mixed: Tensor = self.norm(self.blocks(tokens + self.position))
        return mixed

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        if self.mask_token is not None:
            trunc_normal_(self.mask_token, std=0.02)


def _filled(tokens: Float[Tensor, "B N E"], mask: Mask, mask_token: Float[Tensor, " E"]) -> Float[Tensor, "B L E"]:
    """Visible tokens at their positions, the mask token at the hidden ones."""
    width = tokens.shape[2]
    empty = mask_token.to(tokens.dtype).expand(*mask.hidden.shape, width)
    return empty.scatter(1, mask.visible[:, :, None].expand(-1, -1, width), tokens)


def sincos_positions(grid: tuple[int, int], dim: int) -> Float[Tensor, "L E"]:
    """Fixed two-dimensional positions (arXiv 1706.03762; two-dimensional as in MAE).

    Half of the width encodes the row, half the column, each by sines and cosines of geometrically spaced wavelengths.
    `dim` must be a multiple of 4.
    """
    rates = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    angles = [indices.reshape(-1, 1) * rates for indices in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1).to(torch.float32)
