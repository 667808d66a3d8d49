"""Texture maps of a face: local binary patterns (LBP) and local directional patterns (LDP), in plain tensor arithmetic
on any device.

Grey: both read the whole grey levels 0..255 of `grey`, of the image after augmentation and before normalisation.
Border: every pixel has a code; beyond the border LBP reads 0 (as scikit-image does), LDP the nearest pixel of the edge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Int32, Num, UInt8
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.lbp import count, lbp, smallest_rotation, unpack
from lssat.inputs.neighbours import a_few_at_a_time, neighbours
from lssat.inputs.sending import sent
from lssat.settings.texture import TextureConfig

Texture = Callable[[Float[Tensor, "B 3 H W"], TextureConfig], Num[Tensor, "B 1 H W"]]
"""Images in [0, 1] and the settings of texture -> codes, or for LBP `var` numbers in [0, 1]."""
LARGEST_DEVIATION = 127.5
"""Grey levels: the standard deviation of neighbours of which half are black and half are white."""


class Textures:
    """What streams see of images in [0, 1]. A texture is computed where a stream asks for it, and only once."""

    def __init__(self, image: Float[Tensor, "B 3 H W"], config: TextureConfig) -> None:
        self.image = image
        self._config = config
        self._codes: dict[str, Num[Tensor, "B 1 H W"]] = {}

    def of_first(self, num_rows: int) -> Textures:
        """Those of the first rows; what has been computed already is not computed again."""
        if num_rows == len(self.image):
            return self
        part = Textures(self.image[:num_rows], self._config)
        part._codes = {stream: codes[:num_rows] for stream, codes in self._codes.items()}
        return part

    def codes(self, stream: str) -> Num[Tensor, "B 1 H W"]:
        """As the stream's entry of `TEXTURES` gives them."""
        if stream not in self._codes:
            self._codes[stream] = TEXTURES[stream](self.image, self._config)
        return self._codes[stream]

    def picture(self, stream: str) -> Float[Tensor, "B 3 H W"]:
        """The image itself (RGB), or its texture codes scaled to [0, 1] on three equal channels."""
        if stream == "RGB":
            return self.image
        return (self.codes(stream).float() / largest_code(stream, self._config)).expand(-1, 3, -1, -1)


def stream_image(image: Float[Tensor, "B 3 H W"], stream: str, config: TextureConfig) -> Float[Tensor, "B 3 H W"]:
    """What one stream alone sees; see `Textures.picture`."""
    return Textures(image, config).picture(stream)


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
        codes = codes[count(unpack(codes, 8)) == config.ldp_k]
    elif config.lbp_method == "ror":
        codes = codes[smallest_rotation(unpack(codes, config.lbp_points)) == codes]
    return sent(codes, device)


def grey(image: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W"]:
    """Whole grey levels 0..255 of an RGB image in [0, 1], by ITU-R BT.601: (299 R + 587 G + 114 B) / 1000, halves up.

    Rounding to thousandths first makes 8-bit images give the same level on every device, ties included.
    """
    return a_few_at_a_time(_levels, image)


def ldp(grey: Num[Tensor, "B H W"], k: int = 3, signed: bool = False) -> Int32[Tensor, "B H W"]:
    """Local Directional Pattern (Jabid et al. 2010): bit i is set for the k strongest of 8 Kirsch responses.

    Directions in the order E, NE, N, NW, W, SW, S, SE; strength is the absolute response (the response itself if
    `signed`); among equal ones the lower direction wins, so a code has exactly k bits. `grey` holds whole levels
    0..255; beyond the border the edge pixel repeats.
    """
    return a_few_at_a_time(lambda few: _ldp_codes(few, k, signed), grey).to(torch.int32)


def kirsch(grey: Num[Tensor, "B H W"]) -> Int[Tensor, "8 B H W"]:
    """The 8 Kirsch responses to levels 0..255, by correlation (not flipped): weight 5 on the three neighbours around a
    direction, -3 on the other five. They are within 3825 of 0: int16, or int32 where a program is exported, since
    ONNX's operators know no int16.
    """
    integers = torch.int32 if torch.compiler.is_exporting() else torch.int16
    padded = F.pad(grey.float()[:, None], (1, 1, 1, 1), mode="replicate")[:, 0].to(integers)
    ring = neighbours(padded)
    triples = torch.empty((8, *grey.shape), dtype=integers, device=grey.device)
    for i, triple in enumerate(triples):
        torch.add(ring[i - 1], ring[i], out=triple).add_(ring[(i + 1) % 8])
    total = (triples[0] + triples[3]).add_(ring[5]).add_(ring[6])
    return triples.mul_(8).sub_(total.mul_(3))


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


def _levels(image: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B H W"]:
    red, green, blue = image.float().unbind(1)
    thousandths = (299 * red).add_(587 * green).add_(114 * blue).mul_(255).round_()
    return thousandths.add_(500).div_(1000).clamp_(0, 255).to(torch.uint8)


def _ldp_codes(grey: Num[Tensor, "B H W"], k: int, signed: bool) -> UInt8[Tensor, "B H W"]:
    strengths = kirsch(grey)
    if not signed:
        strengths.abs_()
    # One number per direction orders them by strength, then by lower direction, and fits in int16. All eight differ, so
    # exactly k of them reach the k-th largest.
    lower_first = torch.arange(7, -1, -1, dtype=strengths.dtype, device=grey.device).view(8, 1, 1, 1)
    keys = strengths.mul_(8).add_(lower_first)
    chosen = keys.ge_(_kth_largest(keys, k))
    codes = chosen[7]
    for bit in reversed(range(7)):
        codes = torch.add(chosen[bit], codes, alpha=2, out=codes)
    return codes.to(torch.uint8)


def _kth_largest(keys: Int[Tensor, "8 B H W"], k: int) -> Int[Tensor, "B H W"]:
    """The k-th largest of the eight, per pixel, much faster than by a sort along so short an axis.

    Both halves are sorted at once, by five exchanges. Of the i largest of one half and the k - i largest of the other,
    the smallest is at most the k-th of all, and for one i it is that.
    """
    half = list(keys.view(2, 4, *keys.shape[1:]).unbind(1))
    for i, j in ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)):
        half[i], half[j] = torch.maximum(half[i], half[j]), torch.minimum(half[i], half[j])
    one, other = ([largest[side] for largest in half] for side in (0, 1))
    smallest = [torch.minimum(one[i - 1], other[k - i - 1]) for i in range(max(1, k - 4), min(k - 1, 4) + 1)]
    if k <= 4:
        smallest += [one[k - 1], other[k - 1]]
    return functools.reduce(torch.maximum, smallest)
