"""What the model is shown of a batch, and what is asked of it: augmented once, then one view per stream."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lssat.config import Config
from lssat.inputs.augment import AugmentDraws, augment, draw_augment
from lssat.inputs.erasing import erase
from lssat.inputs.masking import Mask, random_mask
from lssat.inputs.sending import sent
from lssat.inputs.target import target_of
from lssat.inputs.texture import Textures
from lssat.model.encoders.base import Encoder
from lssat.train import microbatch


class Draws(NamedTuple):
    """The random numbers of some rows of a batch."""

    augment: AugmentDraws
    mask_noise: Float[Tensor, "B L"] | None
    """One uniform number per cell of the mask; None without the auxiliary task."""

    def of(self, rows: slice) -> Draws:
        """Those of some of the rows."""
        return Draws(self.augment[rows], None if self.mask_noise is None else self.mask_noise[rows])

    def to(self, device: torch.device, size: tuple[int, int]) -> Draws:
        """The same numbers on a device, for images of `size` (H, W)."""
        noise = None if self.mask_noise is None else sent(self.mask_noise, device)
        return Draws(self.augment.to(device, size), noise)


class Views(NamedTuple):
    """Pictures in [0, 1] for both passes; mask and target belong to the masked one, which may see the first rows alone
    (`masking.share`). Without the auxiliary task there is but the first.
    """

    classified: Float[Tensor, "B 3 H W"]
    masked: Float[Tensor, "M 3 H W"] | None = None
    mask: Mask | None = None
    target: Float[Tensor, "M L P"] | None = None


def draw(config: Config, encoder: Encoder, generator: torch.Generator) -> Draws:
    """Draw for the rows of the global batch, on the CPU: augmentation first, masks last."""
    batch = config.optim.batch_size
    augment_draws = draw_augment(batch, config.augment, generator)
    if not config.trains_auxiliary:
        return Draws(augment_draws, None)
    return Draws(augment_draws, torch.rand(batch, encoder.num_cells, generator=generator))


def make_views(config: Config, encoder: Encoder, image: Float[Tensor, "B 3 H W"], draws: Draws) -> Views:
    """Views of images in [0, 1], by numbers on their device. Raises ConfigError where a mask would hide all or nothing.

    Both passes see a picture with the erased rectangle. With `erase_before_texture` everything is made of the erased
    image, the target included; otherwise textures are made of the whole image, the rectangle is erased in what the
    passes see, and the target is whole.
    """
    image = augment(image, draws.augment, config.augment)
    erasure = draws.augment.erasure
    if config.augment.erase_before_texture:
        image, erasure = erase(image, erasure), None
    textures = Textures(image, config.texture)
    classified = erase(textures.picture(config.classified_stream), erasure)
    if draws.mask_noise is None:
        return Views(classified)
    num_masked = microbatch.num_masked(config, len(image))
    first = textures.of_first(num_masked)
    masked = erase(first.picture(config.masked_stream), None if erasure is None else erasure[:num_masked])
    mask = random_mask(draws.mask_noise[:num_masked], encoder.ratio(config.masking.ratio))
    return Views(classified, masked, mask, target_of(first, config, encoder.unit, encoder.normalise))
