"""Resampling of images along affine maps, each image along its own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def warp(
    image: Float[Tensor, "B C H W"], across: Float[Tensor, "B 3"], down: Float[Tensor, "B 3"], fill: float | None = None
) -> Float[Tensor, "B C H W"]:
    """Bilinear: the pixel at (x, y) takes its value from x' = across . (x, y, 1), y' = down . (x, y, 1); the image
    reaches from -1 to 1.

    Outside of the image is `fill`, or, with None, its border. The sampling grid is computed elementwise, not as a
    matrix product: an image's pixels must not depend on how many share its batch.
    """
    x = _centres(image.shape[3], image.device)[None, None, :]
    y = _centres(image.shape[2], image.device)[None, :, None]
    sampled = [row[:, 0, None, None] * x + row[:, 1, None, None] * y + row[:, 2, None, None] for row in (across, down)]
    grid = torch.stack(sampled, dim=-1)
    if fill is None:
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.grid_sample(image - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + fill


def _centres(size: int, device: torch.device) -> Float[Tensor, " size"]:
    """Pixel centres, where the image reaches from -1 to 1."""
    return (2 * torch.arange(size, device=device) + 1) / size - 1
