"""Backbones whose tokens cannot be dropped: hidden units are overwritten and marked (SimMIM, arXiv 2111.09886).

Hidden pixels become the backbone's mean pixel before the stem; a learnable token takes the hidden positions of the
first stage's output (of the patch embedding, where all blocks work at one resolution). Batch-norm normalises the masked
pass by that batch's visible positions and updates nothing, so that masked statistics never reach the clean pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lssat.errors import ConfigError
from lssat.inputs.mask_rule import check_grid
from lssat.inputs.masking import Mask
from lssat.model.encoders.base import Encoded, Encoder
from lssat.model.encoders.norms import VisibleAt, check_norms, norms_masked, norms_synced, visibility
from lssat.model.encoders.token_position import Stage, find_token_position, token_inserted

FIRST_STRIDE = 4
"""The first stage is the first map at this stride or coarser; finer ones belong to the stem (ResNet, Swin, ConvNeXt all
begin at 4).
"""


class PyramidEncoder(Encoder):
    """Any timm backbone with feature maps. `features` joins the map nearest to the mask unit with the last one.

    Where all blocks work at one resolution, it is the last map, normalised as for the head.
    """

    masking = "pyramid"

    def __init__(self, model: Any, image_size: int, unit: int, masked: bool) -> None:
        """`masked` False leaves the mask token out, for training without the auxiliary task. Raises ConfigError."""
        stages = read_stages(model)
        first = first_stage(stages, unit)
        kept = kept_stages(stages, unit)
        grid = check_grid(image_size, unit, "masking.unit")
        if masked:
            check_norms(model)
        super().__init__(model, grid, unit, sum(stage.width for stage in kept))
        self.token_position = find_token_position(model, first, not is_flat(stages), image_size) if masked else None
        self.flat = is_flat(stages)
        self.kept = [stage.level for stage in kept]
        self.mask_token = nn.Parameter(torch.zeros(first.width)) if masked else None
        self.model = model.to(memory_format=torch.channels_last)

    def encode(self, image: Float[Tensor, "B 3 H W"], mask: Mask | None = None) -> Encoded:
        """See Encoder. `features` covers all positions, hidden ones included."""
        normalised = self.normalise(image)
        if mask is None:
            with self.passing(partial(norms_synced, self.model)):
                return self._encode(normalised)
        visible_at = visibility(mask.hidden, self.grid, mask.visible.shape[1])
        # Normalised pixels are 0 where an image has the mean of the backbone's pixels.
        shown = normalised.masked_fill(~visible_at((image.shape[2], image.shape[3])), 0)
        return self._encode_masked(shown, visible_at)

    def run(self, normalised: Float[Tensor, "B 3 H W"]) -> tuple[list[Tensor], Float[Tensor, "B P"]]:
        """The maps [B,C,h,w] of the kept stages, and what the head reads."""
        pixels = normalised.contiguous(memory_format=torch.channels_last)
        last, maps = self.model.forward_intermediates(pixels, indices=self.kept, norm=self.flat)
        return maps, self.model.forward_head(last, pre_logits=True)

    def _encode_masked(self, shown: Float[Tensor, "B 3 H W"], visible_at: VisibleAt) -> Encoded:
        """`shown`: normalised images, hidden pixels 0."""
        position, token = self.token_position, self.mask_token
        assert position is not None and token is not None, "an encoder built with masked=False takes no mask"

        @contextmanager
        def masked() -> Iterator[None]:
            with token_inserted(self.model, position, visible_at, token), norms_masked(self.model, visible_at):
                yield

        with self.passing(masked):
            return self._encode(shown)

    def _encode(self, normalised: Float[Tensor, "B 3 H W"]) -> Encoded:
        maps, pooled = self.run(normalised)
        return self._joined(maps, pooled)

    def _joined(self, maps: list[Tensor], pooled: Float[Tensor, "B P"]) -> Encoded:
        features = torch.cat([resample(stage, self.grid) for stage in maps], dim=1)
        return Encoded(features.flatten(2).transpose(1, 2), pooled)


def read_stages(model: Any) -> list[Stage]:
    """The backbone's stages, fine to coarse, as timm's `feature_info` has them."""
    return [
        Stage(index, entry["module"], entry["num_chs"], entry["reduction"])
        for index, entry in enumerate(model.feature_info)
    ]


def is_flat(stages: list[Stage]) -> bool:
    """Whether all blocks work at one resolution."""
    return len({stage.stride for stage in stages}) == 1


def first_stage(stages: list[Stage], unit: int) -> Stage:
    """The stage that takes the mask token. Raises ConfigError where the unit is no multiple of its stride."""
    first = next((stage for stage in stages if stage.stride >= FIRST_STRIDE), stages[-1])
    if unit % first.stride:
        raise ConfigError(
            f"`masking.unit` must be a multiple of {first.stride}, the stride of the backbone's first stage, but got "
            f"{unit}"
        )
    return first


def kept_stages(stages: list[Stage], unit: int) -> list[Stage]:
    """The stages whose maps are the features: the one whose stride is nearest to the unit (the finer of two), and the
    last.

    Of several with one stride it is the deepest.
    """
    nearest = min(stages, key=lambda stage: (abs(math.log2(stage.stride / unit)), stage.stride, -stage.level))
    return [nearest] if nearest == stages[-1] else [nearest, stages[-1]]


def resample(maps: Float[Tensor, "B C H W"], grid: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """Bring maps to the mask grid: averaged where they are finer, repeated where they are coarser."""
    (height, width), (down, across) = maps.shape[2:], grid
    if (height, width) == grid:
        return maps
    if down % height or across % width:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, grid)  # the same in a part of the time: each position's mean is of one alone
