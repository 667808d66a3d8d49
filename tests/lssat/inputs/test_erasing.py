"""Rectangles against a slow loop over pixels; what is erased, by how much, and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lssat.inputs.erasing import Erasure, draw_erasure, erase


def images(batch: int, height: int = 20, width: int = 30) -> Tensor:
    """Pixels outside of the noise's range."""
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) + 2


def erased(image: Tensor, erasure: Erasure) -> Tensor:
    return (erase(image, erasure) < 2).all(1)


def test_exactly_the_pixels_whose_centres_lie_in_the_rectangle_are_erased() -> None:
    image = images(12)
    erasure = draw_erasure(12, 0.7, torch.Generator().manual_seed(0))
    hit = erased(image, erasure)
    for row, (top, left, bottom, right) in enumerate(erasure.box.tolist()):
        for y in range(20):
            for x in range(30):
                assert hit[row, y, x] == (top <= (y + 0.5) / 20 < bottom and left <= (x + 0.5) / 30 < right)
    changed = erase(image, erasure)
    assert torch.equal(changed[~hit[:, None].expand_as(image)], image[~hit[:, None].expand_as(image)])


def test_share_area_and_aspect_follow_the_paper() -> None:
    boxes = draw_erasure(20_000, 0.25, torch.Generator().manual_seed(0)).box
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    chosen = boxes[boxes.any(1)]
    assert len(chosen) / len(boxes) == pytest.approx(0.25, abs=0.01)
    height, width = (chosen[:, 2:] - chosen[:, :2]).unbind(1)
    area, aspect = (height * width), (height / width)
    assert area.min() >= 0.02 - 1e-5 and area.max() <= 1 / 3 + 1e-5
    assert area.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.005)
    assert aspect.min() >= 0.3 - 1e-3 and aspect.max() <= 1 / 0.3 + 1e-2
    assert aspect.log().mean() == pytest.approx(0, abs=0.02)


def test_rectangles_reach_every_part_of_the_image() -> None:
    hit = erased(images(2000), draw_erasure(2000, 1.0, torch.Generator().manual_seed(0))).float().mean(0)
    assert hit.min() > 0 and hit.max() < 0.5


def test_noise_is_uniform_and_the_same_for_every_picture_of_the_step() -> None:
    whole = Erasure(torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2), 7)
    noise = erase(images(2, 200, 200), whole)
    assert (
        noise.min() >= 0
        and noise.max() < 1
        and noise.mean() == pytest.approx(0.5, abs=0.01)
        and noise.var() == pytest.approx(1 / 12, rel=0.02)
    )
    assert torch.equal(noise, erase(torch.zeros(2, 3, 200, 200), whole))
    assert not torch.equal(noise, erase(images(2, 200, 200), Erasure(whole.box, 8)))


def test_slices_of_the_global_draw_equal_the_whole() -> None:
    image, erasure = images(8), draw_erasure(8, 0.8, torch.Generator().manual_seed(3))
    parts = [erase(image[rows], erasure[rows]) for rows in (slice(0, 2), slice(2, 8))]
    assert torch.equal(torch.cat(parts), erase(image, erasure))


def test_nothing_is_erased_without_an_erasure_or_with_probability_zero() -> None:
    image = images(4)
    assert torch.equal(erase(image, None), image)
    assert torch.equal(erase(image, draw_erasure(4, 0.0, torch.Generator().manual_seed(0))), image)
