"""What pictures lose, each way against a reference, and all ways in the order of a camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from lssat.inputs.augment import augment, draw_augment
from lssat.inputs.degrading import Degradations, add_noise, blur, degrade, draw_degradations, resize
from lssat.inputs.jpeg import jpeg
from lssat.settings.training import AugmentConfig

WAYS = {"blur": 2.0, "resize": 0.6, "noise": 0.1, "jpeg": 70.0}
CAMERA = AugmentConfig(flip=False, crop_scale=1.0, color=0.0, **WAYS)


def images(batch: int = 8, side: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (batch, 3, side, side), generator=generator) / 255


def drawn(batch: int, config: AugmentConfig, seed: int = 0) -> Degradations:
    found = draw_degradations(batch, config, torch.Generator().manual_seed(seed))
    assert found is not None
    return found


def only(way: str, strength: float | None = None) -> AugmentConfig:
    strength = WAYS[way] if strength is None else strength
    return AugmentConfig.model_validate({"flip": False, "crop_scale": 1.0, "color": 0.0, way: strength})


def test_blur_is_the_gaussian_of_scipy_each_image_by_its_own() -> None:
    image, deviation = images(4), torch.tensor([0.0, 0.4, 1.1, 2.0])
    found = blur(image, deviation, reach=6)
    assert torch.equal(found[0], image[0])
    for picture, smooth, own in list(zip(image, found, deviation.tolist(), strict=True))[1:]:
        expected = gaussian_filter(picture.double().numpy(), (0, own, own), mode="nearest", radius=(0, 6, 6))
        assert np.abs(smooth.numpy() - expected).max() < 1e-5


def test_resize_shrinks_and_enlarges_as_pillow_does() -> None:
    image, sides = images(4), [24, 9, 17, 9]
    found = resize(image, torch.tensor(sides))
    assert torch.equal(found[0], image[0])
    for picture, blurred, side in zip(image, found, sides, strict=True):
        for channel, other in zip(picture.numpy(), blurred.numpy(), strict=True):
            small = Image.fromarray(channel).resize((side, side), Image.Resampling.BILINEAR)
            assert np.abs(np.asarray(small.resize((24, 24), Image.Resampling.BILINEAR)) - other).max() < 1e-5


def test_noise_has_the_deviation_of_each_image_and_another_pattern_in_each() -> None:
    grey, config = torch.full((64, 3, 32, 32), 0.5), only("noise", 0.1)
    draws = drawn(64, config)
    off = degrade(grey, draws, config) - grey
    is_noisy = draws.is_applied[:, 2]
    assert not off[~is_noisy].any()
    assert torch.allclose(off[is_noisy].std((1, 2, 3)), 0.1 * draws.level[is_noisy, 2], rtol=0.1)
    patterns = off[is_noisy].flatten(1)
    likeness = torch.corrcoef(patterns).fill_diagonal_(0).abs()
    assert likeness.median() < 0.03 and (likeness < 0.2).float().mean() > 0.97
    assert add_noise(torch.ones(1, 3, 4, 4), torch.ones(1), torch.ones(1, 3, 4, 4)).max() == 1


@pytest.mark.parametrize("way", WAYS)
def test_half_of_the_images_lose_something_and_the_others_nothing(way: str) -> None:
    config, number = only(way), 400
    image, draws = images(number), drawn(number, only(way))
    column = [*WAYS].index(way)
    assert 160 < draws.is_applied[:, column].sum() < 240 and draws.is_applied.sum() == draws.is_applied[:, column].sum()
    is_changed = (degrade(image, draws, config) != image).flatten(1).any(1)
    assert not (is_changed & ~draws.is_applied[:, column]).any()
    assert is_changed.sum() > 0.8 * draws.is_applied[:, column].sum(), "at the lowest levels nothing may be lost"
    assert torch.equal(degrade(image, drawn(number, only(way)), config), degrade(image, draws, config))


def test_all_ways_follow_each_other_as_in_a_camera() -> None:
    image = images(12)
    draws = drawn(12, CAMERA)
    expected = image.clone()
    for way in WAYS:
        column, config = [*WAYS].index(way), only(way)
        is_applied = torch.zeros_like(draws.is_applied)
        is_applied[:, column] = draws.is_applied[:, column]
        own = Degradations(is_applied, draws.level, draws.shift, draws.seed)
        expected = degrade(expected, own, config)
    assert torch.equal(degrade(image, draws, CAMERA), expected)
    compressed = draws.is_applied[:, 3].nonzero()[:, 0]
    found = degrade(image, draws, CAMERA)[compressed]
    assert torch.equal((found * 255).round() / 255, found), "JPEG comes last"
    alone = draws.is_applied.sum(1).eq(1) & draws.is_applied[:, 3]
    quality = 100 - 70 * draws.level[alone, 3]
    assert torch.equal(degrade(image, draws, CAMERA)[alone], jpeg(image[alone], quality))


def test_numbers_do_not_depend_on_which_ways_are_on() -> None:
    whole = drawn(9, CAMERA)
    for way in WAYS:
        one = drawn(9, only(way))
        assert torch.equal(one.level, whole.level) and torch.equal(one.shift, whole.shift)
        column = [*WAYS].index(way)
        assert torch.equal(one.is_applied[:, column], whole.is_applied[:, column])


@pytest.mark.parametrize("side", [24, 33, 64])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_an_image_loses_the_same_whatever_shares_its_batch(side: int, rows: int) -> None:
    """Also where pixels lie channels last, as a batch reaches the device."""
    image = images(16, side).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    draws = drawn(16, CAMERA)
    parts = [slice(start, start + rows) for start in range(0, 16, rows)]
    found = torch.cat([degrade(image[part], draws[part], CAMERA) for part in parts])
    assert torch.equal(found, degrade(image, draws, CAMERA))


def test_what_is_off_draws_no_number_and_changes_no_pixel() -> None:
    plain, full = (torch.Generator().manual_seed(0) for _ in range(2))
    off = draw_augment(8, AugmentConfig(), plain)
    on = draw_augment(8, AugmentConfig.model_validate(WAYS), full)
    assert off.degradations is None and on.degradations is not None
    assert torch.equal(off.side, on.side) and torch.equal(off.flip, on.flip)
    before = torch.Generator().manual_seed(0)
    torch.rand(8, 6, generator=before)
    assert torch.equal(plain.get_state(), before.get_state())
    still = AugmentConfig.model_validate(dict.fromkeys(WAYS, 0.0))
    assert torch.equal(augment(images(), off, still), augment(images(), off, AugmentConfig()))


def test_images_keep_to_their_range() -> None:
    config = AugmentConfig(blur=4, resize=0.99, noise=0.5, jpeg=95)
    image = degrade(images(64), drawn(64, config), config)
    assert image.min() >= 0 and image.max() <= 1 and image.isfinite().all()
