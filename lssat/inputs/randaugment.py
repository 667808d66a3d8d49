"""RandAugment (arXiv 1909.13719) in batched tensor operations, on the device of the images.

The fifteen operations, their ranges, the probability of one half that a chosen operation is applied, and the spread of
the magnitude are those of timm's `rand-m9-mstd0.5-inc1`, the recipe of MAE and SSAT. Pixels are real numbers in [0, 1]
throughout, without rounding to 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.sending import sent
from lssat.inputs.warp import warp

NUM_TURNS = 2
"""Operations drawn per image."""
PROBABILITY = 0.5
"""That a drawn operation is applied."""
MAGNITUDE_STD = 0.5
LARGEST_MAGNITUDE = 10.0
"""At which an operation is at the end of its range."""
GREY = 0.5
"""Fills what a moved image leaves empty."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in Pillow's grey."""


@dataclass(frozen=True)
class Operations:
    """What is done to each image, in two turns. `operations[start:stop]` are those of some images."""

    index: Int[Tensor, "B 2"]
    """Position in OPERATIONS; -1: none. It stays on the CPU, which has to know what to do."""
    level: Float[Tensor, "B 2"]
    """-1..1, as a share of the operation's range."""

    def __getitem__(self, rows: slice) -> Operations:
        return Operations(self.index[rows], self.level[rows])

    def to(self, device: torch.device) -> Operations:
        """The same with the levels on a device."""
        return Operations(self.index, sent(self.level, device))


def draw_operations(batch: int, magnitude: float, generator: torch.Generator) -> Operations:
    """Draw for `batch` images, on the CPU; `magnitude` 0..10."""
    shape = (batch, NUM_TURNS)
    index = torch.randint(len(OPERATIONS), shape, generator=generator)
    is_applied = torch.rand(shape, generator=generator) < PROBABILITY
    drawn = (magnitude + MAGNITUDE_STD * torch.randn(shape, generator=generator)).clamp(0, LARGEST_MAGNITUDE)
    sign = 2 * torch.randint(2, shape, generator=generator) - 1
    return Operations(torch.where(is_applied, index, -1), sign * (drawn / LARGEST_MAGNITUDE))


def randaugment(image: Float[Tensor, "B 3 S S"], operations: Operations) -> Float[Tensor, "B 3 S S"]:
    """Images in [0, 1] -> images in [0, 1]. The rows that drew the same operation go through it together.

    The CPU sorts the rows by operation and counts them, so the device is sent one index and never asked.
    """
    image = image.clone()
    order = sent(operations.index.argsort(dim=0, stable=True), image.device)
    for turn in range(NUM_TURNS):
        counts = torch.bincount(operations.index[:, turn] + 1, minlength=1 + len(OPERATIONS)).tolist()
        _untouched, *rows_of = torch.split(order[:, turn], counts)
        for rows, operation in zip(rows_of, OPERATIONS.values(), strict=True):
            if len(rows):
                image[rows] = operation(image[rows], operations.level[rows, turn])
    return image


Images = Float[Tensor, "b 3 S S"]
Levels = Float[Tensor, " b"]


def _shear_x(image: Images, level: Levels) -> Images:
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    return _moved(image, (one, 0.3 * level, zero), (zero, one, zero))


def _shear_y(image: Images, level: Levels) -> Images:
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    return _moved(image, (one, zero, zero), (0.3 * level, one, zero))


def _translate_x(image: Images, level: Levels) -> Images:
    """By up to 0.45 of the side, which is 2 long."""
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    return _moved(image, (one, zero, 0.9 * level), (zero, one, zero))


def _translate_y(image: Images, level: Levels) -> Images:
    one, zero = torch.ones_like(level), torch.zeros_like(level)
    return _moved(image, (one, zero, zero), (zero, one, 0.9 * level))


def _rotate(image: Images, level: Levels) -> Images:
    """By up to 30 degrees; level 1 turns clockwise."""
    angle, zero = level * math.radians(30), torch.zeros_like(level)
    return _moved(image, (angle.cos(), angle.sin(), zero), (-angle.sin(), angle.cos(), zero))


def _moved(image: Images, across: tuple[Levels, Levels, Levels], down: tuple[Levels, Levels, Levels]) -> Images:
    return warp(image, torch.stack(across, 1), torch.stack(down, 1), fill=GREY).clamp(0, 1)


def _brightness(image: Images, level: Levels) -> Images:
    return _away_from(torch.zeros_like(image), image, level)


def _color(image: Images, level: Levels) -> Images:
    return _away_from(_grey(image), image, level)


def _contrast(image: Images, level: Levels) -> Images:
    return _away_from(_grey(image).mean((1, 2, 3), keepdim=True), image, level)


def _sharpness(image: Images, level: Levels) -> Images:
    """Away from, or towards, the image smoothed by a 3 x 3 kernel with 5 in its middle and 1 around it. The border
    stays.
    """
    weights = torch.ones(3, 1, 3, 3, device=image.device)
    weights[:, :, 1, 1] = 5
    smooth = image.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(image, weights / 13, groups=3)
    return _away_from(smooth, image, level)


def _away_from(dull: Tensor, image: Images, level: Levels) -> Images:
    """Multiply each pixel's difference from `dull` by 1 + 0.9 level."""
    return (dull + (image - dull) * (1 + 0.9 * level).view(-1, 1, 1, 1)).clamp(0, 1)


def _grey(image: Images) -> Float[Tensor, "b 1 S S"]:
    return (image * sent(torch.tensor(LUMA), image.device).view(3, 1, 1)).sum(1, keepdim=True)


def _solarize(image: Images, level: Levels) -> Images:
    """Invert what is brighter than 1 - |level|."""
    return torch.where(image > 1 - level.abs().view(-1, 1, 1, 1), 1 - image, image)


def _solarize_add(image: Images, level: Levels) -> Images:
    """Lighten the darker half by up to 110/255."""
    lighter = (image + level.abs().view(-1, 1, 1, 1) * 110 / 255).clamp(max=1)
    return torch.where(image < 0.5, lighter, image)


def _posterize(image: Images, level: Levels) -> Images:
    """Keep from 4 bits per channel down to 1; fewer would leave black."""
    levels = 2 ** (4 - (4 * level.abs()).floor()).clamp(min=1).view(-1, 1, 1, 1)
    return torch.minimum((image * levels).floor(), levels - 1) / levels


def _invert(image: Images, _level: Levels) -> Images:
    return 1 - image


def _autocontrast(image: Images, _level: Levels) -> Images:
    """Stretch each channel over [0, 1]; a flat one stays."""
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    return torch.where(high > low, (image - low) / (high - low).clamp(min=1e-12), image).clamp(0, 1)


def _equalize(image: Images, _level: Levels) -> Images:
    """Flatten each channel's histogram of 8-bit values, by Pillow's rule; a channel with too few values to spread
    stays.
    """
    codes = (image * 255).round().long().flatten(2)
    counts = torch.zeros(*codes.shape[:2], 256, dtype=torch.long, device=image.device).scatter_add_(
        2, codes, torch.ones_like(codes)
    )
    step = (codes.shape[2] - counts.gather(2, codes.amax(2, keepdim=True))) // 255
    darker = counts.cumsum(2) - counts
    table = ((darker + step // 2) // step.clamp(min=1)).clamp(max=255)
    flat = table.gather(2, codes).to(image.dtype) / 255
    return torch.where(step[..., None] > 0, flat.view_as(image), image)


OPERATIONS: dict[str, Callable[[Images, Levels], Images]] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
"""Each takes images and a level in -1..1 per image; operations without a direction read its absolute value."""
