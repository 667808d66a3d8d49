"""Local binary patterns (Ojala et al. 2002), equal in every pixel to scikit-image's `local_binary_pattern`.

scikit-image interpolates in float64 and lets its rounding decide where a neighbour equals the centre. Codes of 8 points
and radius 1, the default, are computed in float32 all the same, and nothing is rounded: beside whole grey levels, a
diagonal neighbour is one of whole numbers. Float64 is left to other circles, `var`, images of over 512 pixels, and the
first two rows and columns of the default.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int32, Num, UInt8
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.neighbours import a_few_at_a_time, neighbours

DIAGONAL = 0.70711
"""Pixels across and down to a diagonal neighbour of radius 1, rounded as scikit-image does."""
BESIDE, BEYOND = 239, 577
"""A diagonal neighbour is not darker than the centre c where 29289 (h + v - 2 c) + 70711 (d - c) >= 0, with h and v
beside c and d beyond them: the shares of its four pixels are products of 0.29289 and 0.70711. For grey levels 0..255,
this sum has the sign of BESIDE (h + v - 2 c) + BEYOND (d - c), the least whole numbers of which that is true. They stay
below 2**24, where float32 is exact. Where a sum is not 0, the neighbour differs by 7e-6 grey levels or more, which no
rounding of float64 hides. Where it is 0, so are h + v - 2 c and d - c.
"""
LARGEST_SIDE = 512
"""Pixels. Up to it, float64 rounds no neighbour that equals the centre below it, but for pixels in the first two rows
or columns: tried for all grey levels. In larger images, the shares across and down are rounded differently.
"""
LOWER, UPPER = slice(None, -1), slice(1, None)


def lbp(
    grey: Num[Tensor, "B H W"], points: int = 8, radius: float = 1.0, method: str = "default"
) -> Num[Tensor, "B H W"]:
    """Local Binary Pattern of whole grey levels 0..255, equal in every pixel to scikit-image's.

    `points` (P) neighbours on a circle of `radius` pixels, counter-clockwise from the right; bit i is set where
    neighbour i is not darker than the centre. Interpolation is bilinear; beyond the border all is 0. Codes are int32;
    `var` is float64, NaN where 0. Raises ValueError for an unknown method.
    """
    methods = {"ror": smallest_rotation, "uniform": _uniform, "nri_uniform": _oriented_uniform}
    if method not in ("default", "var", *methods):
        raise ValueError(f"the method of LBP must be default, ror, uniform, nri_uniform or var, but got {method!r}")
    sides = grey.shape[1:]
    if method != "var" and (points, radius) == (8, 1) and min(sides) > 1 and max(sides) <= LARGEST_SIDE:
        codes = a_few_at_a_time(_default_codes, grey).to(torch.int32)
        _round_as_float64(codes, grey)
        return codes if method == "default" else methods[method](unpack(codes, 8))
    centre = grey.double()
    circle = _circle(centre, points, radius)
    if method == "var":
        return _variance(circle)
    signs = [neighbour >= centre for neighbour in circle]
    return _pack(signs) if method == "default" else methods[method](signs)


def unpack(codes: Int32[Tensor, "*N"], num_bits: int) -> list[Bool[Tensor, "*N"]]:
    """Whether bit i of each code is set."""
    return [(codes >> bit & 1).bool() for bit in range(num_bits)]


def smallest_rotation(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    """The smallest code that the signs give when they are turned."""
    code = smallest = _pack(signs)
    for _ in range(len(signs) - 1):
        code = (code >> 1) | ((code & 1) << (len(signs) - 1))
        smallest = torch.minimum(smallest, code)
    return smallest


def count(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    """How many are set."""
    return torch.stack(signs).sum(0, dtype=torch.int32)


def _default_codes(grey: Num[Tensor, "B H W"]) -> UInt8[Tensor, "B H W"]:
    """Codes of 8 points and radius 1, where a neighbour that equals the centre counts as not darker."""
    padded = F.pad(grey.to(torch.uint8), (1, 1, 1, 1))
    straight, diagonal = _straight_bits(padded), _diagonal_bits(padded.float())
    return diagonal.to(torch.uint8).mul_(2).add_(straight)


def _straight_bits(padded: UInt8[Tensor, "B _ _"]) -> UInt8[Tensor, "B H W"]:
    """Bits 0, 2, 4 and 6: neighbours that are pixels."""
    ring, centre = neighbours(padded), padded[:, 1:-1, 1:-1]
    codes, sign = torch.zeros_like(ring[0]), torch.empty_like(ring[0])
    for neighbour in reversed(ring[::2]):
        torch.ge(neighbour, centre, out=sign)
        torch.add(sign, codes, alpha=4, out=codes)
    return codes


def _diagonal_bits(padded: Float[Tensor, "B _ _"]) -> Float[Tensor, "B H W"]:
    """Bits 1, 3, 5 and 7, each at half its value: neighbours between four pixels."""
    ring, centre = neighbours(padded), padded[:, 1:-1, 1:-1]
    codes, sign = torch.zeros_like(ring[0]), torch.empty_like(ring[0])
    for bit in (7, 5, 3, 1):
        torch.add(ring[bit - 1], ring[(bit + 1) % 8], out=sign).mul_(BESIDE).add_(ring[bit], alpha=BEYOND)
        sign.sub_(centre, alpha=2 * BESIDE + BEYOND).ge_(0)
        torch.add(sign, codes, alpha=4, out=codes)
    return codes


def _round_as_float64(codes: Int32[Tensor, "B H W"], grey: Num[Tensor, "B H W"]) -> None:
    """Clear the bits of diagonal neighbours between the first two rows, or columns, that float64 rounds below the
    centre they equal. The order of its operations is that of the reference: across, then down.
    """
    rows, columns = grey[:, :2].double(), grey[:, :, :2].double().mT.contiguous()
    between = 1 - DIAGONAL  # share of the own one of the first two lines
    between_columns = _mixed(columns, columns.flip(1), between)
    across, down = (_own_shares(lines.shape[2] - 1, grey.device) for lines in (rows, columns))
    for own, other, row_bits, column_bits in ((LOWER, UPPER, (7, 1), (7, 5)), (UPPER, LOWER, (5, 3), (1, 3))):
        mixed = _mixed(rows[..., own], rows[..., other], across)
        _clear(codes[:, :2, own], row_bits, _mixed(mixed, mixed.flip(1), between) < rows[..., own])
        mixed = _mixed(between_columns[..., own], between_columns[..., other], down)
        _clear(codes[:, own, :2].mT, column_bits, mixed < columns[..., own])


def _own_shares(length: int, device: torch.device) -> Float[Tensor, " length"]:
    """Of a pixel beside its neighbour on a line, in a value between them; `length`: of the pairs. They are computed
    from absolute coordinates, as in the reference, because their rounding matters.
    """
    position = torch.arange(length, dtype=torch.float64, device=device) + DIAGONAL
    return position.ceil() - position


def _mixed(own: Tensor, other: Tensor, share: Tensor | float) -> Tensor:
    """Each product and the sum are rounded, as in the reference; a fused multiply-add or lerp rounds otherwise."""
    return (share * own).add_((1 - share) * other)


def _clear(codes: Int32[Tensor, "B 2 N"], bits: tuple[int, int], darker: Bool[Tensor, "B 2 N"]) -> None:
    """Of both lines of codes, each its own bit, in place."""
    first, second = bits
    each = torch.arange(first, 2 * second - first, second - first, dtype=codes.dtype, device=codes.device)
    codes.bitwise_and_(torch.bitwise_left_shift(darker.to(codes.dtype), each[:, None]).bitwise_not_())


def _pack(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    """Bit i of the code is sign i."""
    code = signs[0].to(torch.int32)
    for bit, sign in enumerate(signs[1:], 1):
        code.add_(sign, alpha=2**bit)
    return code


def _circle(grey: Float[Tensor, "B H W"], points: int, radius: float) -> list[Tensor]:
    """Grey levels [B, H, W] on the circle, rounded exactly as the reference rounds them."""
    margin = math.ceil(radius) + 1
    padded = F.pad(grey, (margin, margin, margin, margin))
    angles = [2 * math.pi * i / points for i in range(points)]
    offsets = [(round(-radius * math.sin(angle), 5), round(radius * math.cos(angle), 5)) for angle in angles]
    # Neighbours with the same offset across share one interpolation across.
    columns = {across: _shift(padded, across, margin, 2) for _, across in offsets}
    return [_shift(columns[across], down, margin, 1) for down, across in offsets]


def _shift(maps: Float[Tensor, "B R S"], offset: float, margin: int, dim: int) -> Float[Tensor, "B _ _"]:
    """Values `offset` pixels further along `dim`, without the margin, linearly interpolated."""
    length = maps.shape[dim] - 2 * margin
    below = maps.narrow(dim, margin + math.floor(offset), length)
    if offset == math.floor(offset):
        return below
    above = maps.narrow(dim, margin + math.floor(offset) + 1, length)
    # The weight is computed from the absolute coordinate, as in the reference, because its rounding decides whether a
    # neighbour of an equal grey level counts as darker.
    position = torch.arange(length, dtype=torch.float64, device=maps.device) + offset
    weight = (position - position.floor()).view(-1, *[1] * (2 - dim))
    # Each product and the sum are rounded, as in the reference; a fused multiply-add or lerp rounds otherwise.
    return ((1 - weight) * below).add_(weight * above)


def _variance(neighbours: list[Tensor]) -> Float[Tensor, "B H W"]:
    total, squares = torch.zeros_like(neighbours[0]), torch.zeros_like(neighbours[0])
    for neighbour in neighbours:
        total += neighbour
        squares += neighbour * neighbour
    variance = (squares - total * total / len(neighbours)) / len(neighbours)
    return variance.masked_fill(variance == 0, math.nan)


def _uniform(signs: list[Tensor]) -> Int32[Tensor, "B H W"]:
    """Number of ones where the signs change at most twice along the chain, else P + 1."""
    return torch.where(_is_uniform(signs), count(signs), len(signs) + 1)


def _oriented_uniform(signs: list[Tensor]) -> Int32[Tensor, "B H W"]:
    """0 and P (P - 1) + 1 for no and all ones, 1 + (ones - 1) P + rotation between, P (P - 1) + 2 where not uniform."""
    points = len(signs)
    ones, leading_ones, leading_zeros = count(signs), _leading(signs), _leading([~sign for sign in signs])
    rotation = torch.where(signs[0], ones - leading_ones, points - leading_zeros)
    code = 1 + (ones - 1) * points + rotation
    code = torch.where(ones == 0, 0, torch.where(ones == points, points * (points - 1) + 1, code))
    return torch.where(_is_uniform(signs), code, points * (points - 1) + 2)


def _is_uniform(signs: list[Tensor]) -> Bool[Tensor, "B H W"]:
    stacked = torch.stack(signs)
    return (stacked[1:] != stacked[:-1]).sum(0) <= 2


def _leading(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    """Number of ones before the first zero."""
    run = signs[0].clone()
    length = run.to(torch.int32)
    for sign in signs[1:]:
        run &= sign
        length += run
    return length
