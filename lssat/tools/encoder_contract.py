"""What an encoder promises (lssat/model/encoders/base.py), checked on a batch: which promises it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lssat.inputs.masking import Mask, pixel_mask
from lssat.model.encoders.base import Encoded, Encoder

TOLERANCE = 1e-3
"""Largest difference of the clean pass from timm's, relative to the largest output. It is not 0 because memory layouts
differ, and with them the order of sums in float32.
"""


@torch.no_grad()
def broken_promises(encoder: Encoder, image: Float[Tensor, "B 3 H W"], mask: Mask) -> list[str]:
    """The promises that the encoder breaks, in training and in evaluation; empty where it keeps all.

    `image` holds values in [0, 1]. The encoder's state is left as it was.
    """
    was_training = encoder.training
    broken = []
    for training in (False, True):
        mode = "training" if training else "evaluating"
        encoder.train(training)
        broken += [f"{promise} ({mode})" for promise in _broken(encoder, image, mask)]
    encoder.train(was_training)
    return broken


def _broken(encoder: Encoder, image: Tensor, mask: Mask) -> Iterator[str]:
    backbone: Any = encoder.model
    clean, buffers = _encode(encoder, image)
    with _restoring(encoder):
        plain = backbone(encoder.normalise(image))
    if not _close(clean.pooled, plain):
        yield "the clean pass is not timm's"

    masked, after = _encode(encoder, image, mask)
    if not _equal(after, _buffers(encoder)):
        yield "the masked pass changes buffers"
    versions = [parameter._version for parameter in encoder.parameters()]
    encoder.encode(image, mask)
    if versions != [parameter._version for parameter in encoder.parameters()]:
        yield "the masked pass changes parameters"
    again, buffers_again = _encode(encoder, image)
    if not (torch.equal(again.pooled, clean.pooled) and _equal(buffers, buffers_again)):
        yield "the clean pass after a masked one differs"

    hidden = pixel_mask(mask.hidden, encoder.grid, (image.shape[2], image.shape[3]))
    other, _ = _encode(encoder, torch.where(hidden, 1 - image, image), mask)
    if not (torch.equal(masked.features, other.features) and torch.equal(masked.pooled, other.pooled)):
        yield "hidden pixels influence the masked pass"
    changed, _ = _encode(encoder, torch.where(hidden, image, 1 - image), mask)
    if torch.equal(masked.features, changed.features):
        yield "visible pixels do not influence the masked pass"
    if not (masked.features.isfinite().all() and clean.pooled.isfinite().all()):
        yield "outputs are not finite"


def _encode(encoder: Encoder, image: Tensor, mask: Mask | None = None) -> tuple[Encoded, dict[str, Tensor]]:
    """A pass from a fixed state of the generator, and the buffers after it; the encoder's own are put back."""
    with _restoring(encoder):
        return encoder.encode(image, mask), _buffers(encoder)


@contextmanager
def _restoring(encoder: Encoder) -> Iterator[None]:
    """Within, random numbers (drop path) begin anew; afterwards buffers are what they were."""
    kept = _buffers(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    for name, buffer in encoder.named_buffers():
        buffer.copy_(kept[name])


def _buffers(encoder: Encoder) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in encoder.named_buffers()}


def _equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(buffer, second[name]) for name, buffer in first.items())


def _close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())
