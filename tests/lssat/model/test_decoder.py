"""The decoder: every token at its position, mask tokens in between, positions fixed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lssat.inputs.masking import Mask, random_mask
from lssat.model.decoder import Decoder, sincos_positions
from lssat.model.encoders.base import Encoded
from lssat.settings.model import DecoderConfig

GRID = (4, 6)
WIDTH = 10
CONFIG = DecoderConfig(dim=32, depth=2, num_heads=4)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(WIDTH, GRID, 7, CONFIG, fills=True)


@pytest.fixture
def mask() -> Mask:
    torch.manual_seed(1)
    return random_mask(torch.rand(3, 24), 0.75)


def encode(mask: Mask) -> Encoded:
    return Encoded(torch.randn(*mask.visible.shape, WIDTH), torch.zeros(3, 1))


def test_order_of_features_does_not_matter_only_their_positions(decoder: Decoder, mask: Mask) -> None:
    encoded = encode(mask)
    order = torch.randperm(encoded.features.shape[1])
    moved = Encoded(encoded.features[:, order], encoded.pooled)
    shuffled = Mask(mask.hidden, mask.visible[:, order])
    torch.testing.assert_close(decoder(moved, shuffled), decoder(encoded, mask))
    assert not torch.allclose(decoder(moved, mask), decoder(encoded, mask))


def test_tokens_stand_at_their_positions(decoder: Decoder, mask: Mask) -> None:
    decoder.blocks = nn.Sequential()  # without blocks every prediction is that of its own token
    encoded = encode(mask)
    pred = decoder(encoded, mask)
    for row, hidden in enumerate(mask.hidden):
        for cell in range(len(hidden)):
            index = (mask.visible[row] == cell).nonzero()
            token = decoder.mask_token if hidden[cell] else decoder.embed(encoded.features[row, index[0, 0]])
            expected = decoder.predict(decoder.norm(token + decoder.position[0, cell]))
            torch.testing.assert_close(pred[row, cell], expected)


def test_features_at_all_positions_need_no_mask_token(mask: Mask) -> None:
    decoder = Decoder(WIDTH, GRID, 7, CONFIG, fills=False)
    assert decoder.mask_token is None
    pred = decoder(Encoded(torch.randn(3, 24, WIDTH), torch.zeros(3, 1)), mask)
    assert pred.shape == (3, 24, 7)


def test_every_parameter_learns(decoder: Decoder, mask: Mask) -> None:
    (decoder(encode(mask), mask) * torch.randn(3, 24, 7)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in decoder.parameters())


def test_positions_are_sines_of_row_and_column() -> None:
    positions = sincos_positions(GRID, 16)
    row, column = 2, 5
    for index in range(4):
        rate = 10000 ** (-index / 4)
        expected = [math.sin(row * rate), math.cos(row * rate), math.sin(column * rate), math.cos(column * rate)]
        found = positions[row * GRID[1] + column].reshape(4, 4)[:, index]
        torch.testing.assert_close(found, torch.tensor(expected))


def test_positions_are_all_different() -> None:
    positions = sincos_positions((14, 14), 64)
    assert len(positions.unique(dim=0)) == 196
