"""Augmentation of a batch on its device: mirror, random crop, brightness and contrast.

What is random is drawn once for the global batch, on the CPU, and sliced per worker: one and two workers see the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lssat.config import AugmentConfig


@dataclass(frozen=True)
class Draws:
    """The random numbers of each image. `draws[start:stop]` are those of some images."""

    flip: Bool[Tensor, " B"]
    side: Float[Tensor, " B"]  # of the crop, as a share of the image side
    shift: Float[Tensor, "B 2"]  # of the crop's centre (across, down), in half image sides
    brightness: Float[Tensor, " B"]  # factors
    contrast: Float[Tensor, " B"]

    def __getitem__(self, rows: slice) -> Draws:
        return Draws(*(getattr(self, field.name)[rows] for field in fields(self)))


def draw(batch: int, config: AugmentConfig, generator: torch.Generator) -> Draws:
    """Draw for `batch` images. Takes the same numbers from the generator whatever is switched on."""
    uniform = torch.rand(batch, 6, generator=generator)
    signed = 2 * uniform - 1
    side = config.crop_scale + (1 - config.crop_scale) * uniform[:, 1]
    return Draws(
        flip=(uniform[:, 0] < 0.5) & config.flip,
        side=side,
        shift=signed[:, 2:4] * (1 - side)[:, None],
        brightness=1 + config.color * signed[:, 4],
        contrast=1 + config.color * signed[:, 5],
    )


def augment(image: Float[Tensor, "B 3 H W"], draws: Draws, config: AugmentConfig) -> Float[Tensor, "B 3 H W"]:
    """Images in [0, 1] -> images in [0, 1] of the same size. What is off leaves every pixel as it is."""
    draws = Draws(*(getattr(draws, field.name).to(image.device) for field in fields(draws)))
    if config.flip:
        image = torch.where(draws.flip.view(-1, 1, 1, 1), image.flip(-1), image)
    if config.crop_scale < 1:
        image = _crop(image, draws)
    if config.color > 0:
        image = _recolor(image, draws)
    return image


def _crop(image: Float[Tensor, "B 3 H W"], draws: Draws) -> Float[Tensor, "B 3 H W"]:
    """Enlarge the crop to the whole image, bilinearly.

    The sampling grid is computed elementwise, not as a matrix product: an image's pixels must not depend on how many share its batch.
    """
    across = draws.side[:, None] * _centres(image.shape[3], image.device) + draws.shift[:, :1]
    down = draws.side[:, None] * _centres(image.shape[2], image.device) + draws.shift[:, 1:]
    shape = (len(image), image.shape[2], image.shape[3])
    grid = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _centres(size: int, device: torch.device) -> Float[Tensor, " size"]:
    """Pixel centres, where the image reaches from -1 to 1."""
    return (2 * torch.arange(size, device=device) + 1) / size - 1


def _recolor(image: Float[Tensor, "B 3 H W"], draws: Draws) -> Float[Tensor, "B 3 H W"]:
    image = image * draws.brightness.view(-1, 1, 1, 1)
    average = image.mean((1, 2, 3), keepdim=True)
    return (average + (image - average) * draws.contrast.view(-1, 1, 1, 1)).clamp(0, 1)
