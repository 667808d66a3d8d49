"""LBP(8, 1) and LDP as they were before they were made fast: float64 and int32 throughout, whole batches at a time.
What is fast must equal them, and is timed against them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def grey_before(image: Tensor) -> Tensor:
    red, green, blue = image.float().unbind(1)
    thousandths = torch.round(255 * (299 * red + 587 * green + 114 * blue))
    return torch.floor((thousandths + 500) / 1000)


def lbp_before(grey: Tensor) -> Tensor:
    """Bilinear in float64, rounded as scikit-image rounds."""
    centre = grey.double()
    padded = F.pad(centre, (2, 2, 2, 2))
    angles = [2 * math.pi * i / 8 for i in range(8)]
    offsets = [(round(-math.sin(angle), 5), round(math.cos(angle), 5)) for angle in angles]
    columns = {across: _shift(padded, across, 2) for _, across in offsets}
    return _pack([_shift(columns[across], down, 1) >= centre for down, across in offsets])


def ldp_before(grey: Tensor, k: int = 3, signed: bool = False) -> Tensor:
    responses = _kirsch(grey)
    strengths = responses if signed else [response.abs_() for response in responses]
    keys = [strength.mul_(8).add_(7 - direction) for direction, strength in enumerate(strengths)]
    smallest_chosen = _kth_largest(keys, k)
    return _pack([key >= smallest_chosen for key in keys])


def _shift(maps: Tensor, offset: float, dim: int) -> Tensor:
    length = maps.shape[dim] - 4
    below = maps.narrow(dim, 2 + math.floor(offset), length)
    if offset == math.floor(offset):
        return below
    above = maps.narrow(dim, 2 + math.floor(offset) + 1, length)
    position = torch.arange(length, dtype=torch.float64, device=maps.device) + offset
    weight = (position - position.floor()).view(-1, *[1] * (2 - dim))
    return ((1 - weight) * below).add_(weight * above)


def _kirsch(grey: Tensor) -> list[Tensor]:
    height, width = grey.shape[1:]
    padded = F.pad(grey.float()[:, None], (1, 1, 1, 1), mode="replicate")[:, 0].to(torch.int32)
    offsets = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    ring = [padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width] for down, across in offsets]
    triples = [ring[i - 1] + ring[i] + ring[(i + 1) % 8] for i in range(8)]
    total = triples[0] + triples[3] + ring[5] + ring[6]
    return [triple.mul_(8).sub_(total, alpha=3) for triple in triples]


def _kth_largest(keys: list[Tensor], k: int) -> Tensor:
    largest: list[Tensor] = []
    spare = torch.empty_like(keys[0])
    for key in keys:
        rest = key.clone()
        for held in largest:
            torch.minimum(held, rest, out=spare)
            torch.maximum(held, rest, out=held)
            rest, spare = spare, rest
        if len(largest) < k:
            largest.append(rest)
    return largest[-1]


def _pack(signs: list[Tensor]) -> Tensor:
    code = signs[0].to(torch.int32)
    for bit, sign in enumerate(signs[1:], 1):
        code.add_(sign, alpha=2**bit)
    return code
