from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lssat.errors import ConfigError
from lssat.inputs.masking import masked_mean, patchify, pixel_mask, random_mask, unpatchify


@pytest.mark.parametrize(
    ("length", "ratio", "visible"), [(16, 0.75, 4), (49, 0.75, 12), (196, 0.75, 49), (64, 0.6, 25), (16, 0.01, 15)]
)
def test_every_sample_keeps_the_stated_number_visible(length: int, ratio: float, visible: int) -> None:
    mask = random_mask(torch.rand(20, length), ratio)
    assert ((~mask.hidden).sum(1) == visible).all()
    assert mask.visible.shape == (20, visible)


LENGTHS_AND_RATIOS = [
    (length, ratio)
    for length in (2, 3, 16, 49, 196, 1024)
    for ratio in (0.01, 0.3, 0.5, 0.75, 0.99)
    if 0 < int(length * (1 - ratio)) < length
]


@pytest.mark.parametrize(("length", "ratio"), LENGTHS_AND_RATIOS)
@pytest.mark.parametrize("batch", [1, 5])
def test_visible_positions_are_those_of_a_slow_search(length: int, ratio: float, batch: int) -> None:
    mask = random_mask(torch.rand(batch, length), ratio)
    slow = [[cell for cell in range(length) if not hidden[cell]] for hidden in mask.hidden.tolist()]
    assert mask.visible.tolist() == slow


def test_no_number_is_read_back_from_the_device() -> None:
    """Tensors on the meta device, and fake ones, have shapes and no numbers: what asks for one fails."""
    assert random_mask(torch.rand(4, 64, device="meta"), 0.75).visible.shape == (4, 16)
    with FakeTensorMode():
        mask = random_mask(torch.rand(4, 64), 0.75)
    assert mask.visible.shape == (4, 16) and mask.hidden.shape == (4, 64)


def test_least_noise_stays_visible() -> None:
    mask = random_mask(torch.tensor([[0.9, 0.1, 0.5, 0.3]]), 0.5)
    assert mask.hidden.tolist() == [[True, False, True, False]]
    assert mask.visible.tolist() == [[1, 3]]


def test_equal_noise_still_gives_the_exact_number() -> None:
    assert random_mask(torch.zeros(3, 16), 0.75).hidden.sum(1).tolist() == [12, 12, 12]


def test_each_patch_is_hidden_equally_often() -> None:
    share = random_mask(torch.rand(8000, 16, generator=torch.Generator().manual_seed(0)), 0.75).hidden.float().mean(0)
    assert (share - 0.75).abs().max() < 0.03


@pytest.mark.parametrize(
    ("ratio", "left"), [(0.99, "no patch visible"), (1.0, "no patch visible"), (0.0, "no patch hidden")]
)
def test_all_or_nothing_is_refused(ratio: float, left: str) -> None:
    with pytest.raises(ConfigError, match=rf"masking\.ratio.*16 patches.*{left}"):
        random_mask(torch.rand(2, 16), ratio)


def test_patchify_orders_by_row_column_channel() -> None:
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    patches = patchify(maps, 2)
    assert patches.shape == (2, 6, 12)
    block = maps[1, :, 2:4, 2:4]  # second row of patches, second across: number 4
    assert torch.equal(patches[1, 4], block.permute(1, 2, 0).reshape(-1))


@pytest.mark.parametrize(
    ("channels", "height", "width", "patch"), [(3, 8, 8, 4), (1, 12, 8, 4), (8, 6, 10, 2), (3, 5, 5, 1)]
)
def test_unpatchify_inverts_patchify(channels: int, height: int, width: int, patch: int) -> None:
    maps = torch.rand(2, channels, height, width)
    assert torch.equal(unpatchify(patchify(maps, patch), patch, (height // patch, width // patch)), maps)


def test_patch_must_divide_the_side() -> None:
    with pytest.raises(ValueError, match="multiples of the patch"):
        patchify(torch.zeros(1, 3, 10, 8), 4)


def test_pixel_mask_covers_the_pixels_of_its_patches() -> None:
    mask = torch.rand(4, 12) < 0.5
    pixels = pixel_mask(mask, (3, 4), (24, 32))
    assert pixels.shape == (4, 1, 24, 32)
    assert torch.equal(patchify(pixels, 8), mask[:, :, None].expand(-1, -1, 64))


def test_pixel_mask_at_and_below_the_grid() -> None:
    mask = torch.rand(4, 16) < 0.5
    cells = mask.reshape(4, 1, 4, 4)
    assert torch.equal(pixel_mask(mask, (4, 4), (4, 4)), cells)
    assert torch.equal(pixel_mask(mask, (4, 4), (2, 2)), cells[:, :, ::2, ::2])


def test_pixel_mask_refuses_sizes_that_cut_cells() -> None:
    with pytest.raises(ValueError, match="neither a multiple nor a divisor"):
        pixel_mask(torch.ones(1, 16, dtype=torch.bool), (4, 4), (7, 7))


def test_masked_mean_counts_hidden_positions_per_sample() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 60.0]])
    mask = torch.tensor([[True, False, True], [True, True, False]])
    assert masked_mean(values, mask).tolist() == [2.0, 4.5]
