"""Augmentation of a batch on its device: mirror, random crop, brightness and contrast, RandAugment, what a camera
loses, mixup.

Random numbers are drawn once for the global batch, on the CPU, and sliced per worker, so that one and two workers see
the same pictures. Each worker then sends its own to its device, once a step.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lssat.inputs.degrading import Degradations, degrade, draw_degradations
from lssat.inputs.erasing import Erasure, draw_erasure
from lssat.inputs.mixup import draw_shares, mix
from lssat.inputs.randaugment import Operations, draw_operations, randaugment
from lssat.inputs.sending import sent
from lssat.inputs.warp import warp
from lssat.settings.training import AugmentConfig


@dataclass(frozen=True)
class AugmentDraws:
    """The random numbers of each image. `draws[start:stop]` are those of some images."""

    flip: Bool[Tensor, " B"]
    side: Float[Tensor, " B"]
    """Of the crop, as a share of the image side."""
    shift: Float[Tensor, "B 2"]
    """Of the crop's centre (across, down), in half image sides."""
    brightness: Float[Tensor, " B"]
    """Factor of every pixel."""
    contrast: Float[Tensor, " B"]
    """Factor of every pixel's difference from the image's mean."""
    operations: Operations | None = None
    """Of RandAugment."""
    share: Float[Tensor, " B"] | None = None
    """Of an image's own pixels where mixup adds its neighbour's."""
    erasure: Erasure | None = None
    degradations: Degradations | None = None

    def __getitem__(self, rows: slice) -> AugmentDraws:
        drawn: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: numbers[rows] for name, numbers in drawn.items() if numbers is not None})

    def to(self, device: torch.device, size: tuple[int, int]) -> AugmentDraws:
        """The same numbers on a device, for images of `size` (H, W)."""
        return AugmentDraws(
            flip=sent(self.flip, device),
            side=sent(self.side, device),
            shift=sent(self.shift, device),
            brightness=sent(self.brightness, device),
            contrast=sent(self.contrast, device),
            operations=None if self.operations is None else self.operations.to(device),
            share=None if self.share is None else sent(self.share, device),
            erasure=None if self.erasure is None else self.erasure.to(device, size),
            degradations=None if self.degradations is None else self.degradations.to(device, size),
        )


def draw_augment(batch: int, config: AugmentConfig, generator: torch.Generator) -> AugmentDraws:
    """Draw for `batch` images.

    RandAugment, mixup, erasing and degradations take numbers from the generator only where they are on, and after the
    others, which so draw the same with and without them.
    """
    uniform = torch.rand(batch, 6, generator=generator)
    signed = 2 * uniform - 1
    side = config.crop_scale + (1 - config.crop_scale) * uniform[:, 1]
    return AugmentDraws(
        flip=(uniform[:, 0] < 0.5) & config.flip,
        side=side,
        shift=signed[:, 2:4] * (1 - side)[:, None],
        brightness=1 + config.color * signed[:, 4],
        contrast=1 + config.color * signed[:, 5],
        operations=draw_operations(batch, config.randaugment, generator) if config.randaugment else None,
        share=draw_shares(batch, config.mixup, generator) if config.mixup else None,
        erasure=draw_erasure(batch, config.erase, generator) if config.erase else None,
        degradations=draw_degradations(batch, config, generator),
    )


def augment(image: Float[Tensor, "B 3 H W"], draws: AugmentDraws, config: AugmentConfig) -> Float[Tensor, "B 3 H W"]:
    """Images in [0, 1] -> images in [0, 1] of the same size, by numbers on their device. What is off leaves every pixel
    as it is.

    Erasing is not done here: whether a target is made before or after it is a choice (`erase_before_texture`).
    """
    if config.flip:
        image = torch.where(draws.flip.view(-1, 1, 1, 1), image.flip(-1), image)
    if config.crop_scale < 1:
        image = _crop(image, draws)
    if config.color > 0:
        image = _recolor(image, draws)
    if draws.operations is not None:
        image = randaugment(image, draws.operations)
    if draws.degradations is not None:
        image = degrade(image, draws.degradations, config)
    return mix(image, draws.share)


def _crop(image: Float[Tensor, "B 3 H W"], draws: AugmentDraws) -> Float[Tensor, "B 3 H W"]:
    """Enlarge the crop to the whole image."""
    side, shift = draws.side, draws.shift
    zero = torch.zeros_like(side)
    return warp(image, torch.stack([side, zero, shift[:, 0]], 1), torch.stack([zero, side, shift[:, 1]], 1))


def _recolor(image: Float[Tensor, "B 3 H W"], draws: AugmentDraws) -> Float[Tensor, "B 3 H W"]:
    image = image * draws.brightness.view(-1, 1, 1, 1)
    average = image.mean((1, 2, 3), keepdim=True)
    return (average + (image - average) * draws.contrast.view(-1, 1, 1, 1)).clamp(0, 1)
