"""That float32 decides every pixel of LBP(8, 1) as scikit-image's float64 does: what equals the centre is tried for all
grey levels and places, and what does not is too far from it to be rounded onto it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from torch import Tensor

from lssat.inputs.lbp import BESIDE, BEYOND, LARGEST_SIDE, lbp
from lssat.inputs.texture import grey, ldp
from tests.lssat.inputs.texture_before import grey_before, lbp_before, ldp_before

SIDE_SUMS, CORNERS = torch.arange(-510, 511)[:, None], torch.arange(-255, 256)
"""h + v - 2 c, and d - c."""


def ties() -> Tensor:
    """Squares of two by two pixels, [65536, 2, 2]: all in which a diagonal neighbour equals its centre."""
    centre, step = torch.meshgrid(torch.arange(256), torch.arange(-127, 128), indexing="ij")
    within = (centre - step.abs() >= 0) & (centre + step.abs() <= 255)
    c, s = centre[within], step[within]
    falling = torch.stack([c, c + s, c - s, c], 1).view(-1, 2, 2)
    return torch.cat([falling, falling.flip(2)]).float()


def scikit_image(image: Tensor) -> Tensor:
    return torch.from_numpy(local_binary_pattern(image.numpy().astype(np.uint8), 8, 1.0)).int()


def test_small_whole_weights_decide_as_the_true_ones_do() -> None:
    true, ours = 29289 * SIDE_SUMS + 70711 * CORNERS, BESIDE * SIDE_SUMS + BEYOND * CORNERS
    assert torch.equal(true.sign(), ours.sign())
    assert (ours == 0).nonzero().tolist() == [[510, 255]]  # nothing equals the centre but where both are 0
    assert (2 * BESIDE + BEYOND) * 255 < 2**24
    # 70711 / 10**10 of the sum is by how many grey levels a neighbour differs, 1e-10 more than float64 may err by
    assert true[true != 0].abs().min() * 70711 / 1e10 > 1e4 * 1e-10


def test_no_smaller_whole_weights_would() -> None:
    wanted = (29289 * SIDE_SUMS + 70711 * CORNERS).sign()
    for beyond in range(1, BEYOND):
        for beside in (math.floor(beyond * 29289 / 70711), math.ceil(beyond * 29289 / 70711)):
            assert not torch.equal((beside * SIDE_SUMS + beyond * CORNERS).sign(), wanted)


def test_float64_rounds_the_shares_alike_but_beside_the_first_line() -> None:
    lines = np.arange(1, LARGEST_SIDE, dtype=np.float64)
    after, before = lines + 0.70711, lines + 1 - 0.70711
    shares = {*(1 - (after - np.floor(after))), *(before - np.floor(before))}
    assert len(shares) == 1
    assert shares != {1 - 0.70711}


def test_whatever_equals_its_centre_is_decided_as_before_at_every_place() -> None:
    """In the corner, at the first rows, at the first columns, and inside, where all places are alike."""
    squares = ties()
    assert len(squares) == 256 * 256
    assert torch.equal(lbp(squares), lbp_before(squares))
    grid = squares.view(256, 256, 2, 2).transpose(1, 2)  # [256, 2, 256, 2]
    rows = grid.reshape(256, 2, 512)
    columns = squares.view(256, 512, 2)
    inside = grid.reshape(512, 512)
    for shift in (0, 1):  # squares begin at even and at odd pixels
        moved = [torch.roll(images, shift, dim) for images, dim in ((rows, 2), (columns, 1))]
        assert all(torch.equal(lbp(images), lbp_before(images)) for images in moved)
    assert torch.equal(lbp(inside[None])[0], scikit_image(inside))
    turned = torch.roll(inside, (1, 1), (0, 1))
    assert torch.equal(lbp(turned[None])[0], scikit_image(turned))


def test_ties_are_decided_otherwise_at_the_first_lines_and_beyond_the_largest_side() -> None:
    squares = ties()
    assert ((lbp(squares)[:, 0, 0] & 128) == 0).any()
    inside = squares.view(256, 256, 2, 2).transpose(1, 2).reshape(512, 512)
    codes = scikit_image(inside.repeat(1, 3))
    assert not torch.equal(codes[4:-1, 4:509], codes[4:-1, 516:1021])


@pytest.mark.parametrize("shape", [(512, 512), (513, 40), (40, 600), (2, 9), (9, 2), (1, 9), (9, 1), (1, 1), (64, 64)])
@pytest.mark.parametrize("blur", [0, 1, 3])
def test_images_of_every_shape_equal_scikit_image(shape: tuple[int, int], blur: float) -> None:
    noise = np.random.default_rng(blur).integers(0, 256, (2, *shape)).astype(float)
    images = torch.from_numpy(np.rint(gaussian_filter(noise, (0, blur, blur)))).float()
    assert torch.equal(lbp(images), torch.stack([scikit_image(image) for image in images]))
    assert torch.equal(lbp(images.to(torch.uint8)), lbp(images))


@pytest.mark.parametrize("batch", [0, 1, 33])
def test_batches_give_the_codes_of_their_images(batch: int) -> None:
    image = torch.rand(batch, 3, 72, 64, generator=torch.Generator().manual_seed(batch))
    levels = grey(image)
    assert torch.equal(levels.float(), grey_before(image))
    assert torch.equal(lbp(levels), lbp_before(levels))
    for signed in (False, True):
        assert torch.equal(ldp(levels, 3, signed), ldp_before(levels, 3, signed))
