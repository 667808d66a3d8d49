"""Mixup (arXiv 1710.09412): each row is mixed with its neighbour, images and task losses alike.

Rows 2i and 2i + 1 are neighbours, so that workers and micro-batches of an even number of rows never separate a pair:
which images are mixed does not depend on how many there are. The last of an odd number of rows has no neighbour and
stays as it is. Rows are shuffled every epoch, and so are pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def draw_shares(batch: int, alpha: float, generator: torch.Generator) -> Float[Tensor, " B"]:
    """Each row's share of its own image, of a Beta(alpha, alpha) distribution, on the CPU."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, batch)).float()


def mix(image: Float[Tensor, "B 3 H W"], share: Float[Tensor, " B"] | None) -> Float[Tensor, "B 3 H W"]:
    """Each image times `share` plus its neighbour times the rest; None leaves all as they are."""
    if share is None:
        return image
    share = share.view(-1, 1, 1, 1)
    return share * image + (1 - share) * _neighbours(image)


def mixed_loss(
    loss: Callable[[Tensor], Tensor], label: Shaped[Tensor, "B ..."], share: Float[Tensor, " B"] | None
) -> Float[Tensor, " B"]:
    """The loss of each row with its own label times `share`, plus that with its neighbour's label times the rest.

    `loss` takes labels [B, ...] and gives losses [B]; a `share` of None stands for 1. All on one device.
    """
    if share is None:
        return loss(label)
    return share * loss(label) + (1 - share) * loss(_neighbours(label))


def _neighbours(rows: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "B ..."]:
    """The other row of each pair; of a last row without another, that row itself."""
    even = len(rows) // 2 * 2
    swapped = rows[:even].reshape(even // 2, 2, *rows.shape[1:]).flip(1).reshape(rows[:even].shape)
    return swapped if even == len(rows) else torch.cat([swapped, rows[even:]])
