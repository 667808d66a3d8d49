"""Every operation equals torchvision's; draws follow the published rules and do not depend on who shares a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from lssat.inputs.randaugment import OPERATIONS, Operations, draw_operations, randaugment

LEVELS = [-1.0, -0.85, -0.3, 0.07, 0.45, 0.85, 1.0]
SIDE = 24


def images(batch: int = len(LEVELS)) -> Tensor:
    """8-bit colours: half of them noise, half smooth and dark."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randint(256, (batch, 3, SIDE, SIDE), generator=generator)
    smooth = 40 + 2 * torch.arange(SIDE) + torch.randint(9, (batch, 3, SIDE, SIDE), generator=generator)
    return torch.where(torch.arange(batch).view(-1, 1, 1, 1) % 2 == 0, noise, smooth) / 255


def affine(image: Tensor, translate: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)) -> Tensor:
    """torchvision's own `fill` weighs pixels at the edge of the image twice; with zeros as filling there is no such
    question.
    """
    return reference.affine(image - 0.5, 0, list(translate), 1, list(shear), InterpolationMode.BILINEAR) + 0.5


def brighter_dark_half(image: Tensor, level: float) -> Tensor:
    """In Pillow's 8-bit terms; torchvision has no such operation."""
    codes = (image * 255).round()
    return torch.where(codes < 128, (codes + abs(level) * 110).clamp(max=255), codes) / 255


REFERENCES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "autocontrast": lambda image, level: reference.autocontrast(image),
    "equalize": lambda image, level: reference.equalize(image),
    "invert": lambda image, level: reference.invert(image),
    "rotate": lambda image, level: reference.rotate(image - 0.5, -30 * level, InterpolationMode.BILINEAR) + 0.5,
    "posterize": lambda image, level: reference.posterize(image, max(1, 4 - int(4 * abs(level)))),
    "solarize": lambda image, level: reference.solarize(image, 1 - abs(level) + 1e-6),
    "solarize_add": brighter_dark_half,
    "color": lambda image, level: reference.adjust_saturation(image, 1 + 0.9 * level),
    "contrast": lambda image, level: reference.adjust_contrast(image, 1 + 0.9 * level),
    "brightness": lambda image, level: reference.adjust_brightness(image, 1 + 0.9 * level),
    "sharpness": lambda image, level: reference.adjust_sharpness(image, 1 + 0.9 * level),
    "shear_x": lambda image, level: affine(image, shear=(math.degrees(math.atan(0.3 * level)), 0)),
    "shear_y": lambda image, level: affine(image, shear=(0, math.degrees(math.atan(0.3 * level)))),
    "translate_x": lambda image, level: affine(image, translate=(-0.45 * SIDE * level, 0)),
    "translate_y": lambda image, level: affine(image, translate=(0, -0.45 * SIDE * level)),
}


def test_every_operation_has_a_reference() -> None:
    assert REFERENCES.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_torchvision(name: str) -> None:
    """Tolerance: torchvision weighs red by 0.2989 where the standard says 0.299, and sets its grids up with less
    precision.
    """
    ours = OPERATIONS[name](images(), torch.tensor(LEVELS))
    theirs = torch.cat([REFERENCES[name](image[None], level) for image, level in zip(images(), LEVELS, strict=True)])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-4)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("level", [-1.0, 0.0, 0.9, 1.0])
def test_operation_keeps_the_range_on_any_image(name: str, level: float) -> None:
    flat = torch.tensor([0.0, 0.3, 0.5, 1.0]).view(-1, 1, 1, 1).expand(-1, 3, SIDE, SIDE)
    image = torch.cat([flat, images()])
    changed = OPERATIONS[name](image, torch.full((len(image),), level))
    assert changed.isfinite().all() and changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"autocontrast", "equalize", "invert", "posterize"}))
def test_level_zero_changes_nothing(name: str) -> None:
    torch.testing.assert_close(OPERATIONS[name](images(), torch.zeros(len(LEVELS))), images(), rtol=0, atol=2e-6)


def test_each_image_goes_through_its_own_operations_in_order() -> None:
    operations = draw_operations(40, 9.0, torch.Generator().manual_seed(0))
    image = images(40)
    expected = []
    for row in range(40):
        picture = image[row : row + 1]
        for index, level in zip(operations.index[row].tolist(), operations.level[row], strict=True):
            if index >= 0:
                picture = list(OPERATIONS.values())[index](picture, level[None])
        expected.append(picture)
    torch.testing.assert_close(randaugment(image, operations), torch.cat(expected), rtol=0, atol=1e-6)
    assert torch.equal(image, images(40)), "the given images stay as they are"


def test_slices_of_the_global_draw_equal_the_whole() -> None:
    operations, image = draw_operations(32, 9.0, torch.Generator().manual_seed(1)), images(32)
    parts = [randaugment(image[rows], operations[rows]) for rows in (slice(0, 12), slice(12, 32))]
    assert torch.equal(torch.cat(parts), randaugment(image, operations))


def test_draws_follow_the_recipe() -> None:
    operations = draw_operations(20_000, 9.0, torch.Generator().manual_seed(0))
    applied = operations.index >= 0
    assert applied.float().mean() == pytest.approx(0.5, abs=0.01)
    shares = torch.bincount(operations.index[applied], minlength=len(OPERATIONS)) / applied.sum()
    assert torch.allclose(shares, torch.full_like(shares, 1 / len(OPERATIONS)), atol=0.01)
    strength = operations.level.abs()
    assert strength.max() <= 1 and strength.median() == pytest.approx(0.9, abs=0.002)
    assert (strength - 0.9).clamp(max=0).square().mean().mul(2).sqrt() == pytest.approx(0.05, rel=0.03)
    assert (operations.level > 0).float().mean() == pytest.approx(0.5, abs=0.01)


def test_nothing_drawn_changes_nothing() -> None:
    nothing = Operations(torch.full((7, 2), -1), torch.ones(7, 2))
    assert torch.equal(randaugment(images(), nothing), images())
