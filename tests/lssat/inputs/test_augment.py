from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lssat.inputs.augment import AugmentDraws, augment, draw_augment
from lssat.settings.training import AugmentConfig

OFF = AugmentConfig(flip=False, crop_scale=1.0, color=0.0)


def drawn(batch: int, config: AugmentConfig, seed: int = 0) -> AugmentDraws:
    return draw_augment(batch, config, torch.Generator().manual_seed(seed))


def images(batch: int = 8) -> Tensor:
    return torch.rand(batch, 3, 20, 20, generator=torch.Generator().manual_seed(1))


def fixed(
    side: float = 1.0, shift: tuple[float, float] = (0.0, 0.0), brightness: float = 1.0, contrast: float = 1.0
) -> AugmentDraws:
    one = torch.ones(1)
    return AugmentDraws(torch.tensor([False]), side * one, torch.tensor([shift]), brightness * one, contrast * one)


ALL_ON = AugmentConfig(randaugment=9.0, mixup=0.4, erase=0.5, blur=1.0, resize=0.5, noise=0.1, jpeg=70.0)


@pytest.mark.parametrize(
    "config", [AugmentConfig(), AugmentConfig(crop_scale=0.3, color=0.9), AugmentConfig(crop_scale=1.0), ALL_ON]
)
def test_slices_of_the_global_draw_equal_the_whole(config: AugmentConfig) -> None:
    image, draws = images(), drawn(8, config)
    whole = augment(image, draws, config)
    halves = torch.cat([augment(image[rows], draws[rows], config) for rows in (slice(0, 4), slice(4, 8))])
    assert torch.equal(halves, whole)


def test_same_seed_same_pictures() -> None:
    config = AugmentConfig()
    assert torch.equal(augment(images(), drawn(8, config), config), augment(images(), drawn(8, config), config))
    assert not torch.equal(
        augment(images(), drawn(8, config), config), augment(images(), drawn(8, config, seed=1), config)
    )


def test_switches_do_not_move_the_generator() -> None:
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    for config, generator in zip((AugmentConfig(), OFF), generators, strict=True):
        draw_augment(8, config, generator)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_what_is_switched_on_is_drawn_after_all_that_was_there_before() -> None:
    plain, full = drawn(8, AugmentConfig()), drawn(8, ALL_ON)
    for name in ("flip", "side", "shift", "brightness", "contrast"):
        assert torch.equal(getattr(plain, name), getattr(full, name))
    assert plain.operations is plain.share is plain.erasure is plain.degradations is None
    assert full.operations is not None and full.share is not None and full.erasure is not None


def test_all_off_changes_nothing() -> None:
    assert torch.equal(augment(images(), drawn(8, OFF), OFF), images())


def test_flip_mirrors_exactly_about_half() -> None:
    config = AugmentConfig(flip=True, crop_scale=1.0, color=0.0)
    draws = drawn(8, config)
    expected = torch.stack(
        [image.flip(-1) if flip else image for image, flip in zip(images(), draws.flip, strict=True)]
    )
    assert torch.equal(augment(images(), draws, config), expected)
    assert 900 < drawn(2000, config).flip.sum() < 1100


def test_crop_of_a_ramp_is_the_ramp_enlarged() -> None:
    config = AugmentConfig(flip=False, crop_scale=0.5, color=0.0)
    ramp = ((torch.arange(40) + 0.5) / 40).expand(1, 3, 40, 40)
    crop = augment(ramp, fixed(side=0.5, shift=(0.25, 0.0)), config)
    # Half of the width around the point 5/8 across: 3/8 .. 7/8.
    expected = 3 / 8 + (torch.arange(40) + 0.5) / 40 / 2
    assert torch.allclose(crop, expected.expand(1, 3, 40, 40), atol=1e-5)
    assert torch.allclose(
        augment(ramp.mT, fixed(side=0.5, shift=(0.0, 0.25)), config), expected.expand(1, 3, 40, 40).mT, atol=1e-5
    )


def test_whole_image_as_crop_is_the_image() -> None:
    config = AugmentConfig(flip=False, crop_scale=0.5, color=0.0)
    assert torch.allclose(augment(images(1), fixed(), config), images(1), atol=1e-5)


def test_crops_stay_inside_the_image() -> None:
    draws = drawn(2000, AugmentConfig(crop_scale=0.6))
    assert draws.side.min() >= 0.6 and draws.side.max() <= 1
    assert (draws.shift.abs() + draws.side[:, None]).max() <= 1 + 1e-6
    assert draws.shift.min() < -0.2 and draws.shift.max() > 0.2


def test_brightness_scales_and_contrast_keeps_the_mean() -> None:
    config = AugmentConfig(flip=False, crop_scale=1.0, color=0.5)
    image = 0.3 + 0.2 * images(1)
    assert torch.allclose(augment(image, fixed(brightness=1.2), config), 1.2 * image, atol=1e-6)
    stretched = augment(image, fixed(contrast=1.5), config)
    assert torch.allclose(stretched.mean(), image.mean(), atol=1e-6)
    assert torch.allclose(stretched.std(), 1.5 * image.std(), atol=1e-5)


def test_colors_stay_in_range() -> None:
    config = AugmentConfig(color=0.9)
    image = augment(images(), drawn(8, config), config)
    assert image.min() >= 0 and image.max() <= 1
    draws = drawn(2000, config)
    for factor in (draws.brightness, draws.contrast):
        assert factor.min() >= 0.1 - 1e-6 and factor.max() <= 1.9 + 1e-6
