"""Mixup (arXiv 1710.09412): each row is mixed with its neighbour, images and task losses alike.

Rows 2i and 2i + 1 are neighbours, so that a pair is never torn apart by workers or micro-batches of an even number of
rows: who mixes with whom does not depend on them. Rows are shuffled every epoch, and so are pairs.
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
    """`share` of each image and the rest of its neighbour's; None leaves all as they are."""
    if share is None:
        return image
    share = share.to(image.device).view(-1, 1, 1, 1)
    return share * image + (1 - share) * _neighbours(image)


def mixed_loss(
    loss: Callable[[Tensor], Tensor], label: Shaped[Tensor, "B ..."], share: Float[Tensor, " B"] | None
) -> Float[Tensor, " B"]:
    """`share` of the loss of each row's own label and the rest of that of its neighbour's; `loss`: labels [B, ...] ->
    losses [B].
    """
    if share is None:
        return loss(label)
    share = share.to(label.device)
    return share * loss(label) + (1 - share) * loss(_neighbours(label))


def _neighbours(rows: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "B ..."]:
    return rows.reshape(-1, 2, *rows.shape[1:]).flip(1).reshape(rows.shape)
