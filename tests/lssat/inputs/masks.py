"""Masks made by hand."""

from __future__ import annotations

from torch import Tensor

from lssat.inputs.masking import Mask, visible_positions


def mask_hiding(hidden: Tensor) -> Mask:
    """The mask that hides what is True in `hidden` [B, L]; every row must show equally many."""
    (num,) = set((~hidden).sum(1).tolist())
    return Mask(hidden, visible_positions(hidden, num))
