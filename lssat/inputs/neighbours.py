"""The eight pixels around each, for textures, and how many images are worked on at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Num, UInt8
from torch import Tensor

RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""Pixels down and across: E, NE, N, NW, W, SW, S, SE."""
PIXELS_AT_A_TIME = 1 << 17
"""About what a core keeps in its cache of all that a texture computes on its way."""


def neighbours(padded: Num[Tensor, "B _ _"]) -> list[Num[Tensor, "B H W"]]:
    """Views in the order of `RING`, of images with a border of one pixel."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    return [padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width] for down, across in RING]


def a_few_at_a_time(work: Callable[[Tensor], UInt8[Tensor, "b H W"]], images: Tensor) -> UInt8[Tensor, "B H W"]:
    """What `work` makes of all images, [B, ..., H, W]. On a CPU, fresh memory for a whole batch would cost most of the
    time. A GPU is given the batch whole, and so is a program that is exported for batches of any size.
    """
    if images.device.type != "cpu" or torch.compiler.is_exporting():
        return work(images)
    few = max(1, PIXELS_AT_A_TIME // max(1, images.shape[-2] * images.shape[-1]))
    return torch.cat([work(part) for part in torch.split(images, few)])
