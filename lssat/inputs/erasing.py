"""Random erasing (arXiv 1708.04896): some images lose a rectangle to noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lssat.inputs.sending import sent

AREA = (0.02, 1 / 3)
"""Of the rectangle, as a share of the image: smallest and largest."""
ASPECT = 0.3
"""Height over width is between this and its inverse."""


@dataclass(frozen=True)
class Erasure:
    """The rectangle of each image, and the noise of the batch. `erasure[start:stop]` is that of some images."""

    box: Float[Tensor, "B 4"]
    """Top, left, bottom, right, as shares of the sides; all 0: nothing is erased."""
    seed: int
    """Of one picture of noise that all images share, each in its own rectangle."""
    noise: Float[Tensor, "3 H W"] | None = None
    """That picture, once it is made."""

    def __getitem__(self, rows: slice) -> Erasure:
        return Erasure(self.box[rows], self.seed, self.noise)

    def to(self, device: torch.device, size: tuple[int, int]) -> Erasure:
        """The same on a device, with the noise for images of `size` (H, W), which is made and sent only once."""
        if self.noise is not None:
            return self
        noise = torch.rand((3, *size), generator=torch.Generator().manual_seed(self.seed))
        return Erasure(sent(self.box, device), self.seed, sent(noise, device))


def draw_erasure(batch: int, probability: float, generator: torch.Generator) -> Erasure:
    """Draw for `batch` images, on the CPU. A rectangle longer than the image is cut to its side."""
    uniform = torch.rand(5, batch, generator=generator)
    is_erased = uniform[0] < probability
    area = AREA[0] + (AREA[1] - AREA[0]) * uniform[1]
    aspect = torch.exp((2 * uniform[2] - 1) * math.log(ASPECT))
    height, width = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    top, left = uniform[3] * (1 - height), uniform[4] * (1 - width)
    box = torch.stack([top, left, top + height, left + width], dim=1)
    seed = int(torch.randint(2**62, (), generator=generator))
    return Erasure(torch.where(is_erased[:, None], box, 0.0), seed)


def erase(image: Float[Tensor, "B 3 H W"], erasure: Erasure | None) -> Float[Tensor, "B 3 H W"]:
    """Fill each rectangle with uniform noise in [0, 1]; None erases nothing.

    The same erasure fills every picture alike, so that both passes miss the same pixels.
    """
    if erasure is None:
        return image
    erasure = erasure.to(image.device, (image.shape[2], image.shape[3]))
    assert erasure.noise is not None
    top, left, bottom, right = erasure.box.unsqueeze(2).unbind(1)
    rows, columns = ((torch.arange(size, device=image.device) + 0.5) / size for size in image.shape[2:])
    row_inside, column_inside = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    return torch.where(row_inside[:, None, :, None] & column_inside[:, None, None, :], erasure.noise, image)
