"""Our masked encoder, decoder and loss against the published description of MAE (arXiv 2111.06377) and SSAT
(2310.20704), written out again.

The reference takes the weights by name and nothing else of ours or of timm's: patches are cut by loops, blocks are
matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from lssat.config import Config, build
from lssat.inputs.masking import Mask, random_mask
from lssat.inputs.target import make_target, reconstruction_loss
from lssat.model.lssat import LSSAT, build_model
from lssat.train.losses import joint_loss, task_loss

PIXELS, PATCH = 32, 8
GRID = PIXELS // PATCH
ENCODER_HEADS, DECODER_HEADS, CLASSES = 2, 4, 3
Weights = Mapping[str, Tensor]


def configure(norm_pix: bool) -> Config:
    settings = {
        "data.image_size": PIXELS,
        "masking.unit": PATCH,
        "backbone.name": "test_vit",
        "backbone.patch_size": PATCH,
        "streams": "MRGB/RRGB/CRGB",
        "target.norm_pix": norm_pix,
        "decoder.dim": 32,
        "decoder.depth": 2,
        "decoder.num_heads": DECODER_HEADS,
        "aux_weight": 0.9,
    }
    return build(settings)


@pytest.fixture
def model() -> LSSAT:
    """With weights unlike those of a new model, so that no bias, norm or token is idle."""
    torch.manual_seed(0)
    model = build_model(configure(False), CLASSES)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    assert model.encoder.model.blocks[0].attn.num_heads == ENCODER_HEADS
    return model.train()


def draw() -> tuple[Tensor, Mask, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(4, 3, PIXELS, PIXELS, generator=generator)
    return image, random_mask(torch.rand(4, GRID * GRID, generator=generator), 0.75), torch.tensor([0, 2, 1, 2])


@pytest.mark.parametrize("norm_pix", [False, True])
def test_masked_autoencoder(model: LSSAT, norm_pix: bool) -> None:
    config = configure(norm_pix)
    image, mask, _ = draw()
    weights = dict(model.named_parameters())
    pred = model(image, image, mask).pred
    assert pred is not None
    encoder = model.encoder
    loss = reconstruction_loss(pred, make_target(image, config, PATCH, encoder.normalise), mask.hidden, "scaled")
    for sample in range(len(image)):
        normalised = (image[sample] - encoder.mean[:, None, None]) / encoder.std[:, None, None]
        expected_pred, expected_loss = mae(weights, normalised, mask.hidden[sample].tolist(), norm_pix)
        torch.testing.assert_close(pred[sample], expected_pred, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(loss[sample], expected_loss, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm_pix", [False, True])
def test_two_branches(model: LSSAT, norm_pix: bool) -> None:
    """SSAT: 0.1 * cross-entropy of the whole image + 0.9 * reconstruction of the masked one; loss and all gradients."""
    config = configure(norm_pix)
    image, mask, label = draw()
    weights = dict(model.named_parameters())
    encoder = model.encoder
    normalised = (image - encoder.mean[:, None, None]) / encoder.std[:, None, None]
    expected = torch.zeros(())
    for sample in range(len(image)):
        logits = classify(weights, normalised[sample])
        cross_entropy = logits.exp().sum().log() - logits[label[sample]]
        expected = expected + (
            0.1 * cross_entropy + 0.9 * mae(weights, normalised[sample], mask.hidden[sample].tolist(), norm_pix)[1]
        ) / len(image)
    wanted = torch.autograd.grad(expected, list(weights.values()))

    output = model(image, image, mask)
    assert output.pred is not None
    target = make_target(image, config, PATCH, encoder.normalise)
    reconstruction = reconstruction_loss(output.pred, target, mask.hidden, config.target.encoding)
    loss = joint_loss(task_loss(output.logits, label, "multiclass"), reconstruction, config.aux_weight).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad(loss, list(weights.values()))
    for name, ours, theirs in zip(weights, found, wanted, strict=True):
        assert theirs.abs().max() > 0, name
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def mae(weights: Weights, image: Tensor, hidden: list[bool], norm_pix: bool) -> tuple[Tensor, Tensor]:
    """Prediction [L, P] and loss of one normalised image: encode the visible patches alone, decode all, compare the
    hidden ones.
    """
    tokens = embed(weights, image)
    visible = [cell for cell in range(GRID * GRID) if not hidden[cell]]
    encoded = encode(weights, torch.stack([tokens[0]] + [tokens[1 + cell] for cell in visible]))
    latent = affine(encoded[1:], weights, "decoder.embed")  # the class token is not decoded
    full = [
        latent[visible.index(cell)] if cell in visible else weights["decoder.mask_token"] for cell in range(GRID * GRID)
    ]
    x = torch.stack([token + position(cell, len(token)) for cell, token in enumerate(full)])
    for number in range(2):
        x = block(x, weights, f"decoder.blocks.{number}", DECODER_HEADS, 1e-5)
    pred = affine(
        standardise(x, 1e-5) * weights["decoder.norm.weight"] + weights["decoder.norm.bias"], weights, "decoder.predict"
    )
    errors = []
    for cell, patch in enumerate(patches(image)):
        target = patch.flatten()  # row, column, channel
        if norm_pix:
            target = (target - target.mean()) / (target.var(correction=1) + 1e-6).sqrt()
        if hidden[cell]:
            errors.append(((pred[cell] - target) ** 2).mean())
    return pred, sum(errors, torch.zeros(())) / len(errors)


def classify(weights: Weights, image: Tensor) -> Tensor:
    """Logits [K] of one normalised image: its class token through the linear head."""
    return affine(encode(weights, embed(weights, image))[0], weights, "head")


def patches(image: Tensor) -> list[Tensor]:
    """[PATCH, PATCH, 3] each, row by row."""
    return [
        image[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH].permute(1, 2, 0)
        for row in range(GRID)
        for column in range(GRID)
    ]


def embed(weights: Weights, image: Tensor) -> Tensor:
    """Class token and all patches, positions added."""
    kernel, bias = weights["encoder.model.patch_embed.proj.weight"], weights["encoder.model.patch_embed.proj.bias"]
    embedded = [kernel.reshape(len(kernel), -1) @ patch.permute(2, 0, 1).flatten() + bias for patch in patches(image)]
    tokens = torch.stack([weights["encoder.model.cls_token"][0, 0], *embedded])
    return tokens + weights["encoder.model.pos_embed"][0]


def encode(weights: Weights, x: Tensor) -> Tensor:
    depth = len({name.split(".")[3] for name in weights if name.startswith("encoder.model.blocks.")})
    for number in range(depth):
        x = block(x, weights, f"encoder.model.blocks.{number}", ENCODER_HEADS, 1e-6)
    return standardise(x, 1e-6) * weights["encoder.model.norm.weight"] + weights["encoder.model.norm.bias"]


def block(x: Tensor, weights: Weights, name: str, heads: int, eps: float) -> Tensor:
    """A pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""
    x = x + attend(
        standardise(x, eps) * weights[f"{name}.norm1.weight"] + weights[f"{name}.norm1.bias"],
        weights,
        f"{name}.attn",
        heads,
    )
    y = affine(
        standardise(x, eps) * weights[f"{name}.norm2.weight"] + weights[f"{name}.norm2.bias"],
        weights,
        f"{name}.mlp.fc1",
    )
    return x + affine(y * (1 + torch.erf(y / math.sqrt(2))) / 2, weights, f"{name}.mlp.fc2")  # GELU


def attend(x: Tensor, weights: Weights, name: str, heads: int) -> Tensor:
    query, key, value = affine(x, weights, f"{name}.qkv").chunk(3, dim=1)
    width = query.shape[1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        similarity = query[:, part] @ key[:, part].T / math.sqrt(width)
        mixed.append(similarity.exp() / similarity.exp().sum(1, keepdim=True) @ value[:, part])
    return affine(torch.cat(mixed, dim=1), weights, f"{name}.proj")


def affine(x: Tensor, weights: Weights, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def standardise(x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + eps).sqrt()


def position(cell: int, width: int) -> Tensor:
    """Fixed: a quarter of the width each for sine and cosine of the row, sine and cosine of the column, wavelengths
    from 2 pi to 10000 * 2 pi.
    """
    rates = [10000 ** (-4 * index / width) for index in range(width // 4)]
    row, column = divmod(cell, GRID)
    return torch.tensor(
        [wave(index * rate) for index in (row, column) for wave in (math.sin, math.cos) for rate in rates]
    )
