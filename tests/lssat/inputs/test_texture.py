"""Textures: golden codes, a loop that reads as the definition, scikit-image, and what holds for every picture."""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from torch import Tensor

from lssat.inputs.lbp import lbp
from lssat.inputs.texture import (
    TEXTURES,
    deviation_share,
    existing_codes,
    grey,
    kirsch,
    largest_code,
    ldp,
    stream_image,
)
from lssat.settings.texture import HISTOGRAM_POINTS, TextureConfig

FACES = os.environ.get("LSSAT_FACES", "")
METHODS = ["default", "ror", "uniform", "nri_uniform", "var"]

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


@functools.cache
def faces() -> Tensor:
    """Grey levels of four real faces, and of one of them blurred: [5, 96, 96]."""
    if not Path(FACES).is_file():
        pytest.skip("real faces are not at hand: set LSSAT_FACES to their Parquet table")
    files = next(pq.ParquetFile(FACES).iter_batches(4, columns=["image"]))["image"].to_pylist()
    colors = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB").resize((96, 96))) for file in files])
    levels = grey(torch.from_numpy(colors).permute(0, 3, 1, 2) / 255)
    return torch.cat([levels, torch.from_numpy(np.rint(gaussian_filter(levels[:1].numpy(), (0, 2, 2))))])


def compass_masks() -> list[np.ndarray]:
    """E, NE, N, ...: the eastern mask turned by 45 degrees counter-clockwise, again and again."""
    masks = [KIRSCH_EAST]
    for _ in range(7):
        turned = masks[-1].copy()
        for here, there in zip(RING, RING[1:] + RING[:1], strict=True):
            turned[here] = masks[-1][there]
        masks.append(turned)
    return masks


def slow_responses(picture: Tensor) -> np.ndarray:
    """Pixel by pixel, direction by direction: [H, W, 8]."""
    padded, masks = np.pad(picture.numpy().astype(int), 1, mode="edge"), compass_masks()
    responses = np.zeros((*picture.shape, 8), dtype=int)
    for row, column in np.ndindex(*picture.shape):
        window = padded[row : row + 3, column : column + 3]
        responses[row, column] = [(mask * window).sum() for mask in masks]
    return responses


def slow_ldp(responses: np.ndarray, k: int, signed: bool) -> Tensor:
    """As the definition reads: order the directions of a pixel, set the bits of the first k."""
    codes = np.zeros(responses.shape[:2], dtype=np.int32)
    for row, column in np.ndindex(*codes.shape):
        strength = [int(value) if signed else abs(int(value)) for value in responses[row, column]]
        strongest = sorted(range(8), key=lambda i: (-strength[i], i))[:k]
        codes[row, column] = sum(2**i for i in strongest)
    return torch.from_numpy(codes)


@pytest.fixture(scope="module")
def responses() -> list[np.ndarray]:
    return [slow_responses(picture) for picture in pictures()]


def centre(rows: list[list[int]], signed: bool = False) -> int:
    return int(ldp(torch.tensor([rows]), signed=signed)[0, 1, 1])


def test_ldp_golden_codes() -> None:
    assert centre(GOLDEN) == 19
    assert centre(GOLDEN, signed=True) == 56
    assert centre([[55, 15, 30], [45, 60, 25], [40, 50, 10]]) == 49


def test_kirsch_golden_responses() -> None:
    assert [int(response[0, 1, 1]) for response in kirsch(torch.tensor([GOLDEN]))] == [
        -399,
        -503,
        97,
        313,
        537,
        161,
        97,
        -303,
    ]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
def test_ldp_equals_the_slow_loop(responses: list[np.ndarray], k: int, signed: bool) -> None:
    assert torch.equal(
        ldp(pictures(), k, signed), torch.stack([slow_ldp(of_picture, k, signed) for of_picture in responses])
    )


@pytest.mark.parametrize("signed", [False, True])
def test_ldp_of_a_real_face_equals_the_slow_loop(signed: bool) -> None:
    face = faces()[0, 32:64, 32:64]
    assert torch.equal(ldp(face[None], signed=signed)[0], slow_ldp(slow_responses(face), 3, signed))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("k", range(1, 8))
def test_ldp_codes_have_exactly_k_bits(k: int, signed: bool) -> None:
    assert {code.bit_count() for code in ldp(pictures(), k, signed).flatten().tolist()} == {k}


@pytest.mark.parametrize("k", [1, 3, 5])
def test_ldp_invariants(k: int) -> None:
    images, dark = pictures(), (pictures() / 4).floor()
    assert torch.equal(ldp(3 * dark + 7, k), ldp(dark, k))
    assert torch.equal(ldp(255 - images, k), ldp(images, k))
    assert torch.equal(ldp(3 * dark + 7, k, signed=True), ldp(dark, k, signed=True))
    assert not torch.equal(ldp(255 - images, k, signed=True), ldp(images, k, signed=True))


def test_kirsch_invariants() -> None:
    images = pictures()
    straight, turned = kirsch(images), kirsch(images.rot90(1, (1, 2)))
    assert straight.sum(0).abs().max() == 0
    for direction in range(8):  # a quarter turn counter-clockwise is two directions
        assert torch.equal(turned[(direction + 2) % 8], straight[direction].rot90(1, (1, 2)))


def test_ldp_ties_go_to_the_lower_direction() -> None:
    assert (ldp(torch.full((1, 4, 4), 9)) == 0b111).all()


def test_ldp_leaves_its_input_alone() -> None:
    images = pictures()
    before = images.clone()
    ldp(images), lbp(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("points", "radius"),
    [
        (8, 1.0),
        (8, 2.0),
        (16, 2.0),
        (12, 1.5),
        (4, 1.0),
        (24, 3.0),
        (8, 1.5),
        (5, 1.3),
        (4, 0.7),
        (3, 1.0),
        (2, 1.0),
        (1, 1.0),
    ],
)
def test_lbp_equals_scikit_image(points: int, radius: float, method: str) -> None:
    require_equal_to_scikit_image(pictures(), points, radius, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("points", "radius"), [(8, 1.0), (8, 2.0), (16, 2.0), (12, 1.5), (4, 1.0)])
def test_lbp_of_real_faces_equals_scikit_image(points: int, radius: float, method: str) -> None:
    require_equal_to_scikit_image(faces(), points, radius, method)


def require_equal_to_scikit_image(images: Tensor, points: int, radius: float, method: str) -> None:
    expected = np.stack(
        [local_binary_pattern(image.numpy().astype(np.uint8), points, radius, method) for image in images]
    )
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
    assert torch.equal(grey((levels / 255).expand(1, 3, 16, 16)), levels[:, 0].to(torch.uint8))


def test_grey_is_the_standard_rounded_half_up() -> None:
    colors = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    colors[0, :, 0, 0] = torch.tensor([0, 0, 250])  # 28.5
    colors[0, :, 0, 1] = torch.tensor([1, 1, 1])
    exact = (299 * colors[:, 0] + 587 * colors[:, 1] + 114 * colors[:, 2] + 500) // 1000
    assert exact[0, 0, 0] == 29
    assert torch.equal(grey(colors / 255), exact.to(torch.uint8))


def test_grey_rounds_between_levels() -> None:
    image = torch.tensor([10.4, 10.6, 254.9]).div(255).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert grey(image).tolist() == [[[10.0, 11.0, 255.0]]]


@pytest.mark.parametrize(
    ("name", "settings", "reference"),
    [
        ("LDP", {"ldp_k": 2}, lambda g: ldp(g, 2)),
        ("LDP", {"ldp_k": 2, "ldp_signed": True}, lambda g: ldp(g, 2, signed=True)),
        *[
            ("LBP", {"lbp_method": method}, lambda g, m=method: lbp(g, 6, 2.0, m))
            for method in METHODS
            if method != "var"
        ],
        ("LBP", {"lbp_method": "var"}, lambda g: deviation_share(lbp(g, 6, 2.0, "var"))),
    ],
    ids=lambda part: None if callable(part) else str(part),
)
def test_registered_textures_read_the_config(
    name: str, settings: dict[str, object], reference: Callable[[Tensor], Tensor]
) -> None:
    image = torch.rand(2, 3, 16, 16)
    codes = TEXTURES[name](image, TextureConfig.model_validate({"lbp_points": 6, "lbp_radius": 2.0, **settings}))
    assert torch.equal(codes, reference(grey(image))[:, None])


@pytest.mark.parametrize("method", ["default", "ror", "uniform", "nri_uniform"])
@pytest.mark.parametrize("points", [4, 5, 8])
def test_existing_codes_are_those_that_noise_shows(points: int, method: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
    shown = np.unique(local_binary_pattern(noise, points, 1.0, method)).astype(int).tolist()
    config = TextureConfig.model_validate({"lbp_points": points, "lbp_method": method})
    assert existing_codes("LBP", config, torch.device("cpu")).tolist() == shown
    assert largest_code("LBP", config) == shown[-1]


@pytest.mark.parametrize(
    ("method", "widths"),
    [("default", [256]), ("ror", [36, 60, 108, 188]), ("uniform", [10, 11, 12, 13]), ("nri_uniform", [59, 75, 93])],
)
def test_numbers_of_codes_are_the_published_ones(method: str, widths: list[int]) -> None:
    for points, width in enumerate(widths, 8):  # rotations: necklaces of P beads (OEIS A000031)
        config = TextureConfig.model_validate({"lbp_points": points, "lbp_method": method})
        assert len(existing_codes("LBP", config, torch.device("cpu"))) == width


@pytest.mark.parametrize("method", HISTOGRAM_POINTS)
def test_a_histogram_holds_as_many_points_as_256_bins_allow(method: str) -> None:
    def num_codes(points: int) -> int:
        config = TextureConfig.model_validate({"lbp_points": points, "lbp_method": method})
        return len(existing_codes("LBP", config, torch.device("cpu")))

    assert num_codes(HISTOGRAM_POINTS[method]) <= 256
    assert HISTOGRAM_POINTS[method] == 24 or num_codes(HISTOGRAM_POINTS[method] + 1) > 256


@pytest.mark.parametrize("k", range(1, 8))
def test_existing_ldp_codes_have_k_bits(k: int) -> None:
    codes = existing_codes("LDP", TextureConfig(ldp_k=k), torch.device("cpu")).tolist()
    assert codes == [code for code in range(256) if code.bit_count() == k]
    assert len(codes) == math.comb(8, k)


def test_deviation_share_is_bounded_and_linear_in_contrast() -> None:
    stripes = (torch.arange(16) % 2 * 255.0).expand(1, 16, 16)
    extreme = deviation_share(torch.tensor([[[255.0**2 / 4, 0.0, math.nan]]]))
    assert extreme.tolist() == [[[1.0, 0.0, 0.0]]]
    strong, weak = (deviation_share(lbp(scale * stripes, 8, 1.0, "var"))[:, 1:-1, 1:-1] for scale in (1.0, 0.2))
    assert torch.allclose(weak, 0.2 * strong)
    shares = deviation_share(lbp(torch.cat([pictures()[4:], 255 - pictures()[4:]]), 4, 1.0, "var"))
    assert shares.min() == 0 and 0.8 < shares.max() <= 1
    assert (deviation_share(lbp(torch.full((1, 5, 5), 9.0), method="var"))[0, 1:-1, 1:-1] == 0).all()


def test_stream_images() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(stream_image(image, "RGB", TextureConfig()), image)
    ldp_image = stream_image(image, "LDP", TextureConfig())
    assert torch.equal((ldp_image * 255).round().int(), ldp(grey(image))[:, None].expand(-1, 3, -1, -1))
    lbp_image = stream_image(image, "LBP", TextureConfig(lbp_points=16, lbp_radius=2.0))
    assert torch.equal(
        (lbp_image.double() * 65535).round().int(), lbp(grey(image), 16, 2.0)[:, None].expand(-1, 3, -1, -1)
    )
    assert lbp_image.min() >= 0 and lbp_image.max() <= 1


@pytest.mark.parametrize(("method", "white"), [("default", 255), ("ror", 255), ("uniform", 9), ("nri_uniform", 58)])
def test_stream_images_of_every_method_span_the_codes(method: str, white: int) -> None:
    image = torch.rand(2, 3, 32, 32)
    shown = stream_image(image, "LBP", TextureConfig.model_validate({"lbp_method": method}))
    assert torch.equal((shown * white).round().int(), lbp(grey(image), method=method)[:, None].expand(-1, 3, -1, -1))
    assert shown.max() == 1


def test_stream_image_of_the_variance_is_its_deviation() -> None:
    image = torch.rand(1, 3, 24, 24)
    variance = local_binary_pattern(grey(image)[0].numpy().astype(np.uint8), 8, 1.0, "var")
    expected = np.sqrt(np.nan_to_num(variance)) / 127.5
    shown = stream_image(image, "LBP", TextureConfig(lbp_method="var"))
    np.testing.assert_allclose(shown[0], np.stack([expected] * 3), atol=1e-6)


@pytest.mark.parametrize("stream", ["LBP", "LDP"])
def test_exported_streams_give_the_same_picture_in_batches_of_every_size(stream: str, tmp_path: Path) -> None:
    class Stream(torch.nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return stream_image(image, stream, TextureConfig())

    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(Stream().eval(), (torch.rand(2, 3, 24, 24),), dynamo=True, dynamic_shapes=shapes)
    assert program is not None
    program.save(tmp_path / "stream.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "stream.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        image = torch.randint(0, 8, (batch, 3, 24, 24)) / 8  # few levels, so that many neighbours are equal
        found = session.run(None, {"image": image.numpy()})[0]
        assert np.array_equal(found, stream_image(image, stream, TextureConfig()).numpy())
