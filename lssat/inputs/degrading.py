"""What a picture loses on its way from the lens to the net, in that order: blur, fewer pixels, noise, JPEG.

Each falls on half of the images, whatever befalls them besides, at a level of each image's own: evenly spread between
nothing and the most that the settings allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.jpeg import jpeg
from lssat.inputs.sending import sent
from lssat.settings.training import AugmentConfig

PROBABILITY = 0.5
"""That an image is degraded in one of the four ways."""
NUM_WAYS = 4
BLUR, RESIZE, NOISE, JPEG = range(NUM_WAYS)
REACH = 3
"""Standard deviations after which a Gaussian is cut off."""
BEST_QUALITY = 100
"""Of JPEG."""
NARROWEST = 1e-3
"""Standard deviation, in pixels, that stands for 0, by which nothing can be divided."""

Images = Float[Tensor, "b 3 S S"]
Numbers = Float[Tensor, " b"]


@dataclass(frozen=True)
class Degradations:
    """What each image loses, in columns BLUR, RESIZE, NOISE, JPEG. `degradations[start:stop]`: those of some images.

    They stay on the CPU, which has to know what to do; numbers are sent with the rows that they are for.
    """

    is_applied: Bool[Tensor, "B 4"]
    level: Float[Tensor, "B 4"]
    """0..1, as a share of the most that the settings allow."""
    shift: Float[Tensor, "B 2"]
    """0..1 of the sides (down, across): where in the picture of noise an image's own begins."""
    seed: int | None
    """Of that one picture, which all images share; None where noise is off."""
    noise: Float[Tensor, "3 S S"] | None = None
    """The picture itself, once it is made."""

    def __getitem__(self, rows: slice) -> Degradations:
        return Degradations(self.is_applied[rows], self.level[rows], self.shift[rows], self.seed, self.noise)

    def to(self, device: torch.device, size: tuple[int, int]) -> Degradations:
        """With the noise on a device, for images of `size` (H, W): it is made and sent only once."""
        if self.noise is not None or self.seed is None:
            return self
        noise = torch.randn((3, *size), generator=torch.Generator().manual_seed(self.seed))
        return Degradations(self.is_applied, self.level, self.shift, self.seed, sent(noise, device))


def draw_degradations(batch: int, config: AugmentConfig, generator: torch.Generator) -> Degradations | None:
    """Draw for `batch` images, on the CPU: the same numbers whichever ways are on, and none where all are off."""
    most = torch.tensor([config.blur, config.resize, config.noise, config.jpeg])
    if not most.any():
        return None
    uniform = torch.rand(batch, 2 * NUM_WAYS + 2, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    return Degradations(
        is_applied=(uniform[:, :NUM_WAYS] < PROBABILITY) & (most > 0),
        level=uniform[:, NUM_WAYS : 2 * NUM_WAYS],
        shift=uniform[:, 2 * NUM_WAYS :],
        seed=seed if config.noise else None,
    )


def degrade(image: Float[Tensor, "B 3 S S"], drawn: Degradations, config: AugmentConfig) -> Float[Tensor, "B 3 S S"]:
    """Images in [0, 1] -> images in [0, 1]; those that lose nothing are as they were."""
    side = image.shape[2]
    image = image.clone(memory_format=torch.contiguous_format)
    drawn = drawn.to(image.device, (side, side))
    for way in range(NUM_WAYS):
        rows = drawn.is_applied[:, way].nonzero()[:, 0]
        if len(rows):
            index, level = sent(rows, image.device), drawn.level[rows, way]
            if way == BLUR:
                lost = blur(image[index], sent(config.blur * level, image.device), math.ceil(REACH * config.blur))
            elif way == RESIZE:
                lost = resize(image[index], ((1 - config.resize * level) * side).round().clamp(min=1).int())
            elif way == NOISE:
                assert drawn.noise is not None
                first = (drawn.shift[rows] * side).int()
                lost = add_noise(image[index], sent(config.noise * level, image.device), _shown(drawn.noise, first))
            else:
                lost = jpeg(image[index], sent(BEST_QUALITY - config.jpeg * level, image.device))
            image[index] = lost
    return image


def blur(image: Images, deviation: Numbers, reach: int) -> Images:
    """Smooth each image by a Gaussian of its own standard deviation, cut off after `reach` pixels; the border is
    continued. Elementwise, as in `warp`.
    """
    steps = torch.arange(reach + 1, device=image.device)
    weights = torch.exp(-0.5 * (steps / deviation.clamp(min=NARROWEST)[:, None]) ** 2)
    weights = (weights / (2 * weights.sum(1, keepdim=True) - 1)).view(-1, reach + 1, 1, 1, 1)
    for dim, padding in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        size, wide = image.shape[dim], F.pad(image, padding, mode="replicate")
        image = weights[:, 0] * image
        for step in range(1, reach + 1):
            both = wide.narrow(dim, reach - step, size) + wide.narrow(dim, reach + step, size)
            image = image + weights[:, step] * both
    return image


def resize(image: Images, sides: Int[Tensor, " b"]) -> Images:
    """Shrink each image to its own side in pixels, on the CPU, and enlarge it again. Those of one side go together."""
    image, whole = image.clone(), image.shape[2]
    found, counts = torch.unique(sides, return_counts=True)
    order = sent(sides.argsort(stable=True), image.device)
    for side, rows in zip(found.tolist(), torch.split(order, counts.tolist()), strict=True):
        if side < whole:
            shrunk = F.interpolate(image[rows], (side, side), mode="bilinear", antialias=True)
            image[rows] = F.interpolate(shrunk, (whole, whole), mode="bilinear")
    return image


def add_noise(image: Images, deviation: Numbers, noise: Images) -> Images:
    """Add noise of each image's own standard deviation to noise of deviation 1."""
    return (image + deviation.view(-1, 1, 1, 1) * noise).clamp(0, 1)


def _shown(noise: Float[Tensor, "3 S S"], first: Tensor) -> Images:
    """The picture of noise as each image sees it, from its own row and column [b, 2] on and around the edges."""
    steps = torch.arange(noise.shape[1])
    down, across = (sent((first[:, axis, None] + steps) % len(steps), noise.device) for axis in (0, 1))
    return noise[:, down[:, :, None], across[:, None, :]].transpose(0, 1)
