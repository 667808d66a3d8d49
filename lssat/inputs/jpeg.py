"""JPEG compression of a batch, each image at its own quality: what an encoder throws away (ITU-T T.81, baseline).

Colour is halved in both directions (4:2:0), which is what encoders do unless they are told otherwise. Everything is
elementwise: a sum of a matrix product may depend on how many images share a batch, and a hair's breadth decides which
way a coefficient is rounded.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.sending import sent

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of the coefficients of brightness at quality 50, by vertical and horizontal frequency: table K.1."""
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99, 99, 99, 99, 99, 99, 99, 99)] * 4,
)
"""Those of colour: table K.2."""
COSINES = torch.tensor(
    [[math.sqrt((1 if k else 0.5) / 4) * math.cos(math.pi * (2 * i + 1) * k / 16) for k in range(8)] for i in range(4)]
)
"""The first half of each of the eight waves of a block's side [i, k]; the other mirrors it, negated in odd ones."""
CONSTANTS = torch.stack([torch.tensor(LUMINANCE), torch.tensor(CHROMINANCE)]).float()
BLOCK = 8
UNIT = 2 * BLOCK
"""Sides are filled up to a multiple of it: a block of colours covers four of brightness."""

Images = Float[Tensor, "b 3 H W"]
Planes = Float[Tensor, "b c h w"]


def jpeg(image: Images, quality: Float[Tensor, " b"]) -> Images:
    """Images in [0, 1] as a decoder of their JPEG files gives them, in 8 bits; `quality` 1..100, as Pillow takes it."""
    height, width = image.shape[2:]
    steps = _steps(quality.round())
    pixels = F.pad((image * 255).round(), (0, -width % UNIT, 0, -height % UNIT), mode="replicate")
    red, green, blue = pixels.chunk(3, dim=1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    colors = torch.cat([(blue - y) / 1.772, (red - y) / 1.402], dim=1).round()
    y = _coded(y.round() - 128, steps[:, :1]) + 128
    cb, cr = _doubled(_coded(_halved(colors), steps[:, 1:])).chunk(2, dim=1)
    decoded = torch.cat([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], dim=1)
    return decoded[:, :, :height, :width].round().clamp(0, 255) / 255


def _halved(plane: Planes) -> Float[Tensor, "b c h//2 w//2"]:
    """Half as high and wide: means of four pixels. Of those in the middle between two numbers every other goes up."""
    total = plane[:, :, ::2, ::2] + plane[:, :, 1::2, ::2] + plane[:, :, ::2, 1::2] + plane[:, :, 1::2, 1::2]
    return ((total + 1 + torch.arange(total.shape[3], device=plane.device) % 2) / 4).floor()


def _steps(quality: Float[Tensor, " b"]) -> Float[Tensor, "b 2 8 8"]:
    """The steps by which brightness and colour are divided, as libjpeg scales the tables."""
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    tables = sent(CONSTANTS, quality.device)
    return ((tables * scale.view(-1, 1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def _coded(plane: Planes, steps: Float[Tensor, "b 1 8 8"]) -> Planes:
    """Planes around 0 of which each 8 x 8 block keeps whole steps of its coefficients alone."""
    cosines = sent(COSINES, plane.device)
    waves = _to_waves(_to_waves(plane, cosines).mT.contiguous(), cosines)  # across, then down
    blocks = torch.unflatten(torch.unflatten(waves, 3, (-1, BLOCK)), 2, (-1, BLOCK))
    step = steps.mT[:, :, None, :, None]
    kept = ((blocks / step).round() * step).flatten(4, 5).flatten(2, 3)
    return _from_waves(_from_waves(kept, cosines).mT.contiguous(), cosines).round().clamp(-128, 127)


def _to_waves(plane: Planes, cosines: Float[Tensor, "4 8"]) -> Planes:
    """The discrete cosine transform of each eight pixels of a column.

    Even waves are symmetric and odd ones antisymmetric, so that sums and differences of mirrored pixels are enough.
    """
    pixels = torch.unflatten(plane, 2, (-1, BLOCK))
    first, mirrored = pixels[:, :, :, :4], pixels[:, :, :, 4:].flip(3)
    even, odd = (
        _weighted(folded, cosines[:, parity::2]) for parity, folded in enumerate((first + mirrored, first - mirrored))
    )
    return torch.stack([even, odd], dim=4).view_as(plane)


def _from_waves(plane: Planes, cosines: Float[Tensor, "4 8"]) -> Planes:
    """The inverse of `_to_waves`."""
    waves = torch.unflatten(plane, 2, (-1, BLOCK))
    even, odd = (_weighted(waves[:, :, :, parity::2], cosines[:, parity::2].mT) for parity in (0, 1))
    return torch.cat([even + odd, (even - odd).flip(3)], dim=3).view_as(plane)


def _weighted(values: Float[Tensor, "b c n 4 w"], weights: Float[Tensor, "4 4"]) -> Float[Tensor, "b c n 4 w"]:
    """Of each four values in a column their weighted sums, added up in this order."""
    total = values[:, :, :, :1] * weights[0, :, None]
    for index in range(1, 4):
        total = total + values[:, :, :, index : index + 1] * weights[index, :, None]
    return total


def _doubled(plane: Planes) -> Float[Tensor, "b c 2*h 2*w"]:
    """Twice as high and wide. Each new pixel is three quarters of the one that it lies in and a quarter of the nearest
    other, in both directions. What lies in the middle between two numbers goes up in every other column.
    """
    for dim in (2, 3):
        size = plane.shape[dim]
        near = 0.75 * plane
        before = torch.cat([plane.narrow(dim, 0, 1), plane.narrow(dim, 0, size - 1)], dim)
        after = torch.cat([plane.narrow(dim, 1, size - 1), plane.narrow(dim, size - 1, 1)], dim)
        plane = torch.stack([near + 0.25 * before, near + 0.25 * after], dim=dim + 1).flatten(dim, dim + 1)
    return (plane + (8 - torch.arange(plane.shape[3], device=plane.device) % 2) / 16).floor()
