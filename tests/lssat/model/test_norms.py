"""Masked batch-norm equals its definition, gradients too, in every layout and whichever way positions are named."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lssat.model.encoders.norms import BatchNorm, norms_masked, visibility
from lssat.model.encoders.pyramid import resample

GRID = (4, 4)
NUM_VISIBLE = 6
SHAPES = ((4, 8, 16, 16), (4, 8, 6, 6), (4, 8, 2, 2), (4, 1, 8, 8), (64, 8))  # the last: vectors of maps of 4x4
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def some_hidden() -> Tensor:
    noise = torch.rand(4, 16, generator=torch.Generator().manual_seed(0))
    return noise.argsort(1).argsort(1) >= NUM_VISIBLE


def slow(maps: Tensor, shown: Tensor, norm: BatchNorm) -> Tensor:
    """By the definition, for autograd to differentiate."""
    share = shown / shown.sum()
    mean = (maps * share).sum((0, 2, 3), keepdim=True)
    variance = ((maps - mean).square() * share).sum((0, 2, 3), keepdim=True)
    return (maps - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_visible", [NUM_VISIBLE, None])
def test_masked_norm_is_its_definition(
    shape: tuple[int, ...], layout: torch.memory_format, num_visible: int | None
) -> None:
    torch.manual_seed(1)
    norm: BatchNorm = nn.BatchNorm2d(shape[1]) if len(shape) == 4 else nn.BatchNorm1d(shape[1])
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    given, gradient = (torch.randn(shape) + offset for offset in (20, 0))
    visible_at = visibility(some_hidden(), GRID, num_visible)
    if len(shape) == 4:
        given, gradient = given.contiguous(memory_format=layout), gradient.contiguous(memory_format=layout)
        shown = visible_at(shape[2:])
    else:
        shown = visible_at(GRID).reshape(-1, 1, 1, 1)

    wanted = [given.requires_grad_(), *norm.parameters()]
    with norms_masked(norm, visible_at):
        out = norm(given)
    found = [out, *torch.autograd.grad(out, wanted, gradient)]

    exact = norm.double()
    maps = given.detach().double().reshape(*shape[:2], *(shape[2:] or (1, 1))).requires_grad_()
    slow_out = slow(maps, shown, exact)
    expected = [
        slow_out,
        *torch.autograd.grad(slow_out, [maps, *exact.parameters()], gradient.double().reshape(maps.shape)),
    ]
    for mine, true in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), true.reshape(mine.shape), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_of_weights_are_float32_under_autocast(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    maps = torch.randn(4, 8, 16, 16).bfloat16().contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(4, 8, 16, 16).bfloat16().contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16), norms_masked(norm, visibility(some_hidden(), GRID, NUM_VISIBLE)):
        out = norm(maps)
    (to_bias,) = torch.autograd.grad(out, [norm.bias], gradient)
    torch.testing.assert_close(to_bias, gradient.double().sum((0, 2, 3)).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (8, 4), (6, 6), (5, 7), (2, 2), (1, 1)])
def test_a_position_is_visible_where_it_touches_a_visible_cell(size: tuple[int, int]) -> None:
    hidden = some_hidden()
    pooled = F.adaptive_max_pool2d((~hidden).reshape(-1, 1, *GRID).float(), size) > 0
    assert torch.equal(visibility(hidden, GRID)(size), pooled)


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (3, 3), (2, 4), (2, 2), (1, 1)])
def test_maps_come_to_the_grid_by_their_means(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 8, *size).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(resample(maps, GRID), F.adaptive_avg_pool2d(maps, GRID))
