from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from torch import Tensor

from lssat.config import TargetConfig
from lssat.texture import TEXTURES, grey, kirsch, lbp, ldp, stream_image

GOLDEN = [[85, 32, 26], [53, 50, 10], [60, 38, 45]]
KIRSCH_EAST = np.array([[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]])
RING = [(0, 1), (0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)][1:]  # once around the centre, clockwise


def pictures() -> Tensor:
    """Noise, flat, blurred, a ramp with edges, black and white blocks: [5, 30, 22]."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (30, 22))
    blurred = np.rint(gaussian_filter(rng.integers(0, 256, (30, 22)).astype(float), 2))
    ramp = np.indices((30, 22)).sum(0) * 5 % 256
    blocks = np.kron(rng.integers(0, 2, (6, 5)), np.ones((5, 5)))[:, :22] * 255
    return torch.tensor(np.stack([noise, np.full_like(noise, 77), blurred, ramp, blocks])).float()


def compass_masks() -> list[np.ndarray]:
    """E, NE, N, ...: the eastern mask turned by 45 degrees counter-clockwise, again and again."""
    masks = [KIRSCH_EAST]
    for _ in range(7):
        turned = masks[-1].copy()
        for here, there in zip(RING, RING[1:] + RING[:1], strict=True):
            turned[here] = masks[-1][there]
        masks.append(turned)
    return masks


def slow_ldp(picture: Tensor, k: int, signed: bool) -> Tensor:
    """Pixel by pixel, direction by direction, as the definition reads."""
    padded = np.pad(picture.numpy().astype(int), 1, mode="edge")
    codes = np.zeros(picture.shape, dtype=np.int32)
    for row, column in np.ndindex(*picture.shape):
        window = padded[row : row + 3, column : column + 3]
        responses = [int((mask * window).sum()) for mask in compass_masks()]
        strength = responses if signed else [abs(response) for response in responses]
        strongest = sorted(range(8), key=lambda i: (-strength[i], i))[:k]
        codes[row, column] = sum(2**i for i in strongest)
    return torch.from_numpy(codes)


def centre(rows: list[list[int]], signed: bool = False) -> int:
    return int(ldp(torch.tensor([rows]), signed=signed)[0, 1, 1])


def test_ldp_golden_codes() -> None:
    assert centre(GOLDEN) == 19
    assert centre(GOLDEN, signed=True) == 56
    assert centre([[55, 15, 30], [45, 60, 25], [40, 50, 10]]) == 49


def test_kirsch_golden_responses() -> None:
    assert [int(response[0, 1, 1]) for response in kirsch(torch.tensor([GOLDEN]))] == [-399, -503, 97, 313, 537, 161, 97, -303]


@pytest.mark.parametrize(("k", "signed"), [(3, False), (3, True), (1, False), (4, False), (7, False)])
def test_ldp_equals_the_slow_loop(k: int, signed: bool) -> None:
    images = pictures()
    expected = torch.stack([slow_ldp(image, k, signed) for image in images])
    assert torch.equal(ldp(images, k, signed), expected)


@pytest.mark.parametrize("k", range(1, 8))
def test_ldp_codes_have_exactly_k_bits(k: int) -> None:
    assert {code.bit_count() for code in ldp(pictures(), k).flatten().tolist()} == {k}


def test_ldp_invariants() -> None:
    images = pictures()
    assert torch.stack(kirsch(images)).sum(0).abs().max() == 0
    assert torch.equal(ldp(3 * images + 7), ldp(images))
    assert torch.equal(ldp(255 - images), ldp(images))
    assert torch.equal(ldp(3 * images + 7, signed=True), ldp(images, signed=True))
    assert not torch.equal(ldp(255 - images, signed=True), ldp(images, signed=True))


def test_ldp_ties_go_to_the_lower_direction() -> None:
    assert (ldp(torch.full((1, 4, 4), 9)) == 0b111).all()


def test_ldp_leaves_its_input_alone() -> None:
    images = pictures()
    before = images.clone()
    ldp(images), lbp(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("method", ["default", "ror", "uniform", "nri_uniform", "var"])
@pytest.mark.parametrize(("points", "radius"), [(8, 1.0), (8, 2.0), (16, 2.0), (24, 3.0), (8, 1.5), (5, 1.3), (4, 0.7), (1, 1.0)])
def test_lbp_equals_scikit_image(points: int, radius: float, method: str) -> None:
    images = pictures()
    expected = np.stack([local_binary_pattern(image.numpy().astype(np.uint8), points, radius, method) for image in images])
    actual = lbp(images, points, radius, method).numpy()
    if method == "var":
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4, equal_nan=True)
    else:
        np.testing.assert_array_equal(actual, expected)


def test_lbp_of_a_constant_sees_the_dark_border() -> None:
    codes = lbp(torch.full((1, 4, 4), 9.0))
    assert (codes[0, 1:3, 1:3] == 255).all()
    assert codes[0, 0, 1] == 0b11110001  # the row above is 0


def test_lbp_refuses_unknown_methods() -> None:
    with pytest.raises(ValueError, match=r"default, ror, uniform, nri_uniform or var.*'rotated'"):
        lbp(pictures(), method="rotated")


def test_grey_keeps_grey_images() -> None:
    levels = torch.arange(256).view(1, 1, 16, 16)
    assert torch.equal(grey((levels / 255).expand(1, 3, 16, 16)), levels[:, 0].float())


def test_grey_is_the_standard_rounded_half_up() -> None:
    colors = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    colors[0, :, 0, 0] = torch.tensor([0, 0, 250])  # 28.5
    colors[0, :, 0, 1] = torch.tensor([1, 1, 1])
    exact = (299 * colors[:, 0] + 587 * colors[:, 1] + 114 * colors[:, 2] + 500) // 1000
    assert exact[0, 0, 0] == 29
    assert torch.equal(grey(colors / 255), exact.float())


def test_grey_rounds_between_levels() -> None:
    image = torch.tensor([10.4, 10.6, 254.9]).div(255).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert grey(image).tolist() == [[[10.0, 11.0, 255.0]]]


@pytest.mark.parametrize(("name", "reference"), [("LBP", lambda g: lbp(g, 6, 2.0)), ("LDP", lambda g: ldp(g, 2))], ids=["LBP", "LDP"])
def test_registered_textures_read_the_config(name: str, reference: Callable[[Tensor], Tensor]) -> None:
    image = torch.rand(2, 3, 16, 16)
    codes = TEXTURES[name](image, TargetConfig(lbp_points=6, lbp_radius=2.0, ldp_k=2))
    assert torch.equal(codes, reference(grey(image))[:, None])


def test_stream_images() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(stream_image(image, "RGB", TargetConfig()), image)
    ldp_image = stream_image(image, "LDP", TargetConfig())
    assert torch.equal((ldp_image * 255).round().int(), ldp(grey(image))[:, None].expand(-1, 3, -1, -1))
    lbp_image = stream_image(image, "LBP", TargetConfig(lbp_points=16, lbp_radius=2.0))
    assert torch.equal((lbp_image.double() * 65535).round().int(), lbp(grey(image), 16, 2.0)[:, None].expand(-1, 3, -1, -1))
    assert lbp_image.min() >= 0 and lbp_image.max() <= 1
