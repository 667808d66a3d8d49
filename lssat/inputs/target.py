"""What the decoder has to reconstruct: how a texture becomes a target, its loss, and the way back to a picture.

Texture codes are nominal, so how they are encoded is a choice: `scaled` (code / largest code, mean squared error),
`bits` (one binary map per bit, cross-entropy) or `histogram` (frequencies of the codes of a patch, soft cross-entropy).
An RGB target is the image, normalised as the encoder normalises it.

With `target.rgb_weight` the image is rebuilt beside the texture: its numbers follow those of the texture in every
patch, and the two losses are weighted; this arrangement is our own.

`patch` is everywhere the side in pixels of what the encoder masks at once (`Encoder.unit`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn import functional as F

from lssat.config import Config
from lssat.inputs.masking import masked_mean, patchify, unpatchify
from lssat.inputs.texture import Textures, existing_codes, largest_code

PixelMap = Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, "B 3 H W"]]
"""Images in, images of the same size out: `Encoder.normalise` or `Encoder.denormalise`."""
STANDARD_DEVIATIONS_SHOWN = 2.0
"""Of a target that is standardised per patch, on either side of mid-grey."""
VARIANCE_FLOOR = 1e-6
"""Added to a patch's variance before it is divided by, so that flat patches stay finite (MAE's value)."""


def target_width(config: Config, patch: int) -> int:
    """Numbers per patch, P, of the target and of the prediction."""
    return _stream_width(config, patch) + (3 * patch * patch if config.target.rgb_weight else 0)


def make_target(
    image: Float[Tensor, "B 3 H W"], config: Config, patch: int, normalise: PixelMap
) -> Float[Tensor, "B L P"]:
    """The target of an RGB image in [0, 1], after augmentation; see `target_of`."""
    return target_of(Textures(image, config.texture), config, patch, normalise)


@torch.no_grad()
def target_of(textures: Textures, config: Config, patch: int, normalise: PixelMap) -> Float[Tensor, "B L P"]:
    """The target of images whose textures streams may have seen already. Layout as in `patchify`, RGB beside a texture
    last.

    `normalise` makes an RGB target of the image. `norm_pix` standardises each patch of the texture and of the RGB image
    beside it, each by its own mean and variance.
    """
    if config.target_stream == "RGB":
        return _rgb_target(normalise(textures.image), config, patch)
    texture = _texture_target(textures.codes(config.target_stream), config, patch)
    if not config.target.rgb_weight:
        return texture
    return torch.cat([texture, _rgb_target(normalise(textures.image), config, patch)], dim=-1)


def target_loss(
    pred: Float[Tensor, "B L P"],
    target: Float[Tensor, "B L P"],
    hidden: Bool[Tensor, "B L"],
    config: Config,
    patch: int,
) -> Float[Tensor, " B"]:
    """The loss of each sample over its hidden patches; see `reconstruction_loss`.

    With RGB beside a texture it is `(1 - v) * texture + v * RGB`, v = `target.rgb_weight`, RGB by squared error.
    """
    width, weight = _stream_width(config, patch), config.target.rgb_weight
    loss = reconstruction_loss(pred[..., :width], target[..., :width], hidden, config.target.encoding)
    if not weight:
        return loss
    return (1 - weight) * loss + weight * reconstruction_loss(pred[..., width:], target[..., width:], hidden, "scaled")


def reconstruction_loss(
    pred: Float[Tensor, "B L P"], target: Float[Tensor, "B L P"], hidden: Bool[Tensor, "B L"], encoding: str
) -> Float[Tensor, " B"]:
    """Loss over the hidden patches of each sample, in float32: what is visible does not count (MAE, arXiv 2111.06377).

    scaled: mean squared error; bits: binary cross-entropy (both means over a patch's numbers); histogram: cross-entropy
    of the frequencies. Every sample must hide at least one patch. Raises ValueError for an unknown encoding.
    """
    pred, target = pred.float(), target.float()
    if encoding == "scaled":
        return masked_mean((pred - target).square().mean(-1), hidden)
    if encoding == "bits":
        return masked_mean(F.binary_cross_entropy_with_logits(pred, target, reduction="none").mean(-1), hidden)
    if encoding == "histogram":
        return masked_mean(-(target * pred.log_softmax(-1)).sum(-1), hidden)
    raise ValueError(f"`target.encoding` must be scaled, bits or histogram, but got {encoding!r}")


def target_picture(
    values: Float[Tensor, "B L P"], config: Config, patch: int, denormalise: PixelMap, is_pred: bool = False
) -> Float[Tensor, "B 3 H W"]:
    """A target, or a prediction (`is_pred`: before its link function), as a square picture in [0, 1].

    Bits show the expected code of each pixel, histograms the expected code of each patch. With `norm_pix` a patch has
    lost its own mean and scale: it is shown around mid-grey. RGB beside a texture is not shown.
    """
    side = math.isqrt(values.shape[1])
    values, grid = values[..., : _stream_width(config, patch)].float(), (side, side)
    if config.target_stream != "RGB" and config.target.encoding != "scaled":
        code = _expected_code(values, config, patch, grid, is_pred)
        return (code / largest_code(config.target_stream, config.texture)).expand(-1, 3, -1, -1)
    picture = unpatchify(values, patch, grid)
    if config.target.norm_pix:
        picture = 0.5 + picture / (2 * STANDARD_DEVIATIONS_SHOWN)
    elif config.target_stream == "RGB":
        picture = denormalise(picture)
    return picture.clamp(0, 1).expand(-1, 3, -1, -1)


def _stream_width(config: Config, patch: int) -> int:
    """Numbers per patch of the reconstruction stream's own target."""
    if config.target_stream == "RGB":
        return 3 * patch * patch
    if config.target.encoding == "histogram":
        return len(existing_codes(config.target_stream, config.texture, torch.device("cpu")))
    return patch * patch * (_num_bits(config) if config.target.encoding == "bits" else 1)


def _num_bits(config: Config) -> int:
    return config.texture.lbp_points if config.target_stream == "LBP" else 8


def _rgb_target(normalised: Float[Tensor, "B 3 H W"], config: Config, patch: int) -> Float[Tensor, "B L P"]:
    target = patchify(normalised, patch)
    return _standardised(target) if config.target.norm_pix else target


def _texture_target(codes: Num[Tensor, "B 1 H W"], config: Config, patch: int) -> Float[Tensor, "B L P"]:
    stream = config.target_stream
    if config.target.encoding == "bits":
        bits = torch.arange(_num_bits(config), dtype=codes.dtype, device=codes.device).view(1, -1, 1, 1)
        return patchify((codes >> bits & 1).float(), patch)
    largest = largest_code(stream, config.texture)
    if config.target.encoding == "histogram":
        return _frequencies(patchify(codes, patch), existing_codes(stream, config.texture, codes.device), largest)
    target = patchify(codes.float() / largest, patch)
    return _standardised(target) if config.target.norm_pix else target


def _frequencies(
    codes: Int[Tensor, "B L N"], existing: Int[Tensor, " bins"], largest: int
) -> Float[Tensor, "B L bins"]:
    """Share of each existing code among the N codes of a patch."""
    bins = torch.zeros(largest + 1, dtype=torch.int64, device=codes.device)
    bins[existing] = torch.arange(len(existing), device=codes.device)
    counts = torch.zeros(*codes.shape[:2], len(existing), device=codes.device)
    ones = torch.ones((), device=codes.device).expand(codes.shape)
    return counts.scatter_add_(2, bins[codes], ones) / codes.shape[2]


def _standardised(patches: Float[Tensor, "B L P"]) -> Float[Tensor, "B L P"]:
    """Mean 0 and variance 1 within each patch."""
    variance, average = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - average) / (variance + VARIANCE_FLOOR).sqrt()


def _expected_code(
    values: Float[Tensor, "B L P"], config: Config, patch: int, grid: tuple[int, int], is_pred: bool
) -> Float[Tensor, "B 1 H W"]:
    """The mean of the codes, weighted by their probabilities: per pixel (bits) or per patch (histogram)."""
    if config.target.encoding == "bits":
        probability = unpatchify(values.sigmoid() if is_pred else values, patch, grid)
        weights = 2 ** torch.arange(_num_bits(config), device=values.device)
        return (probability * weights.view(1, -1, 1, 1)).sum(1, keepdim=True)
    frequency = values.softmax(-1) if is_pred else values
    code = frequency @ existing_codes(config.target_stream, config.texture, values.device).float()
    return unpatchify(code[..., None].expand(-1, -1, patch * patch), patch, grid)
