"""Texture maps of a face: local binary patterns (LBP) and local directional patterns (LDP), in plain tensor arithmetic
on any device.

Grey: both read the whole grey levels 0..255 of `grey`, of the image after augmentation and before normalisation.
Border: every pixel has a code; beyond the border LBP reads 0 (as scikit-image does), LDP the nearest pixel of the edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Int32, Num
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.sending import sent
from lssat.settings.texture import TextureConfig

Texture = Callable[[Float[Tensor, "B 3 H W"], TextureConfig], Num[Tensor, "B 1 H W"]]
"""Images in [0, 1] and the settings of texture -> codes, or for LBP `var` numbers in [0, 1]."""
LARGEST_DEVIATION = 127.5
"""Grey levels: the standard deviation of neighbours of which half are black and half are white."""


def stream_image(image: Float[Tensor, "B 3 H W"], stream: str, config: TextureConfig) -> Float[Tensor, "B 3 H W"]:
    """What one stream sees: the image itself (RGB), or its texture codes scaled to [0, 1] on three equal channels."""
    if stream == "RGB":
        return image
    codes = TEXTURES[stream](image, config)
    return (codes.float() / largest_code(stream, config)).expand(-1, 3, -1, -1)


def largest_code(stream: str, config: TextureConfig) -> int:
    """The code that is drawn white: all bits set (255 for 8 bits), or the last class of the uniform methods.

    It is 1 for `var`, whose texture is in [0, 1] already.
    """
    points = config.lbp_points
    if stream == "LDP":
        return 255
    largest = {
        "default": (1 << points) - 1,
        "ror": (1 << points) - 1,
        "uniform": points + 1,
        "nri_uniform": points * (points - 1) + 2,
        "var": 1,
    }
    return largest[config.lbp_method]


def existing_codes(stream: str, config: TextureConfig, device: torch.device) -> Int[Tensor, " codes"]:
    """All codes that can occur, ascending: with exactly k bits (LDP), smallest of their rotations (`ror`), else 0 to
    the largest.

    Up to 3 points every pattern is uniform, so the last class of the uniform methods stays empty. Not for `var`, which
    has no codes. They are picked on the CPU: a device would be asked how many there are.
    """
    codes = torch.arange(largest_code(stream, config) + 1, dtype=torch.int32)
    if stream == "LDP":
        codes = codes[_count(_unpack(codes, 8)) == config.ldp_k]
    elif config.lbp_method == "ror":
        codes = codes[_smallest_rotation(_unpack(codes, config.lbp_points)) == codes]
    return sent(codes, device)


def grey(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H W"]:
    """Whole grey levels 0..255 of an RGB image in [0, 1], by ITU-R BT.601: (299 R + 587 G + 114 B) / 1000, halves up.

    Rounding to thousandths first makes 8-bit images give the same level on every device, ties included.
    """
    red, green, blue = image.float().unbind(1)
    thousandths = torch.round(255 * (299 * red + 587 * green + 114 * blue))
    return torch.floor((thousandths + 500) / 1000)


def ldp(grey: Num[Tensor, "B H W"], k: int = 3, signed: bool = False) -> Int32[Tensor, "B H W"]:
    """Local Directional Pattern (Jabid et al. 2010): bit i is set for the k strongest of 8 Kirsch responses.

    Directions in the order E, NE, N, NW, W, SW, S, SE; strength is the absolute response (the response itself if
    `signed`); among equal ones the lower direction wins, so a code has exactly k bits. `grey` holds whole numbers;
    beyond the border the edge pixel repeats.
    """
    responses = kirsch(grey)
    strengths = responses if signed else [response.abs_() for response in responses]
    # One number per direction orders them by strength, then by lower direction. All eight differ, so exactly k of them
    # reach the k-th largest.
    keys = [strength.mul_(8).add_(7 - direction) for direction, strength in enumerate(strengths)]
    smallest_chosen = _kth_largest(keys, k)
    return _pack([key >= smallest_chosen for key in keys])


def kirsch(grey: Num[Tensor, "B H W"]) -> list[Tensor]:
    """The 8 Kirsch responses, each int32 [B, H, W], by correlation (not flipped): weight 5 on the three neighbours
    around a direction, -3 on the other five.
    """
    height, width = grey.shape[1:]
    padded = F.pad(grey.float()[:, None], (1, 1, 1, 1), mode="replicate")[:, 0].to(torch.int32)
    offsets = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    ring = [padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width] for down, across in offsets]
    triples = [ring[i - 1] + ring[i] + ring[(i + 1) % 8] for i in range(8)]
    total = triples[0] + triples[3] + ring[5] + ring[6]
    return [triple.mul_(8).sub_(total, alpha=3) for triple in triples]


def lbp(
    grey: Num[Tensor, "B H W"], points: int = 8, radius: float = 1.0, method: str = "default"
) -> Num[Tensor, "B H W"]:
    """Local Binary Pattern (Ojala et al. 2002), equal in every pixel to scikit-image's `local_binary_pattern`.

    `points` (P) neighbours on a circle of `radius` pixels, counter-clockwise from the right; bit i is set where
    neighbour i is not darker than the centre. Interpolation is bilinear in float64; beyond the border all is 0. Codes
    are int32; `var` is float64, NaN where 0. Raises ValueError for an unknown method.
    """
    methods = {"ror": _smallest_rotation, "uniform": _uniform, "nri_uniform": _oriented_uniform}
    if method not in ("default", "var", *methods):
        raise ValueError(f"the method of LBP must be default, ror, uniform, nri_uniform or var, but got {method!r}")
    centre = grey.double()
    neighbours = _neighbours(centre, points, radius)
    if method == "var":
        return _variance(neighbours)
    signs = [neighbour >= centre for neighbour in neighbours]
    return _pack(signs) if method == "default" else methods[method](signs)


def deviation_share(variance: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W"]:
    """LBP `var` as a picture in [0, 1]: the standard deviation of the neighbours as a share of the largest possible; 0
    where the variance is NaN.
    """
    return variance.nan_to_num(0).clamp(min=0).sqrt() / LARGEST_DEVIATION


def _ldp_texture(image: Float[Tensor, "B 3 H W"], config: TextureConfig) -> Num[Tensor, "B 1 H W"]:
    return ldp(grey(image), config.ldp_k, config.ldp_signed)[:, None]


def _lbp_texture(image: Float[Tensor, "B 3 H W"], config: TextureConfig) -> Num[Tensor, "B 1 H W"]:
    texture = lbp(grey(image), config.lbp_points, config.lbp_radius, config.lbp_method)
    return (deviation_share(texture) if config.lbp_method == "var" else texture)[:, None]


TEXTURES: dict[str, Texture] = {"LBP": _lbp_texture, "LDP": _ldp_texture}


def _kth_largest(keys: list[Tensor], k: int) -> Int32[Tensor, "B H W"]:
    """The k-th largest of the keys, per pixel, by insertion into a sorted list of k.

    It is faster than a sort along so short an axis. Maps are reused, because fresh memory would cost most of the time.
    """
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


def _pack(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    """Bit i of the code is sign i."""
    code = signs[0].to(torch.int32)
    for bit, sign in enumerate(signs[1:], 1):
        code.add_(sign, alpha=2**bit)
    return code


def _unpack(codes: Int32[Tensor, "*N"], num_bits: int) -> list[Tensor]:
    return [(codes >> bit & 1).bool() for bit in range(num_bits)]


def _neighbours(grey: Float[Tensor, "B H W"], points: int, radius: float) -> list[Tensor]:
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


def _smallest_rotation(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    code = smallest = _pack(signs)
    for _ in range(len(signs) - 1):
        code = (code >> 1) | ((code & 1) << (len(signs) - 1))
        smallest = torch.minimum(smallest, code)
    return smallest


def _uniform(signs: list[Tensor]) -> Int32[Tensor, "B H W"]:
    """Number of ones where the signs change at most twice along the chain, else P + 1."""
    return torch.where(_is_uniform(signs), _count(signs), len(signs) + 1)


def _oriented_uniform(signs: list[Tensor]) -> Int32[Tensor, "B H W"]:
    """0 and P (P - 1) + 1 for no and all ones, 1 + (ones - 1) P + rotation between, P (P - 1) + 2 where not uniform."""
    points = len(signs)
    ones, leading_ones, leading_zeros = _count(signs), _leading(signs), _leading([~sign for sign in signs])
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


def _count(signs: list[Tensor]) -> Int32[Tensor, "*N"]:
    return torch.stack(signs).sum(0, dtype=torch.int32)
