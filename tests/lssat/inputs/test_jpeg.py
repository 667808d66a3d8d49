"""JPEG on tensors against Pillow's files, and against its definition, slowly."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from torch import Tensor

from lssat.inputs.jpeg import _coded, _steps, jpeg

QUALITIES = (30, 45, 60, 75, 85, 95)


def pictures(height: int = 96, width: int = 96) -> Tensor:
    """Waves, edges, discs and grain, in 8 bits: [3, 3, height, width]."""
    generator = torch.Generator().manual_seed(0)
    down, across = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    smooth = torch.stack([0.5 + 0.4 * torch.sin(4 * across + number * down) for number in range(3)])
    disc = ((across - 0.2) ** 2 + down**2 < 0.3).float() * torch.tensor([0.9, 0.6, 0.5]).view(3, 1, 1)
    edges = torch.where(across + down > 0.3, smooth, disc)
    grain = (smooth + 0.08 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)
    return (torch.stack([smooth, edges, grain]) * 255).round() / 255


def by_pillow(image: Tensor, quality: int) -> Tensor:
    files = []
    for pixels in (image * 255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        files.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(files)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("size", [(96, 96), (65, 50)], ids=["whole blocks", "blocks that are cut"])
def test_pixels_are_those_of_pillows_files(size: tuple[int, int], quality: int) -> None:
    image = pictures(*size)
    found, expected = jpeg(image, torch.full((3,), float(quality))), by_pillow(image, quality)
    off = 255 * (found - expected).abs().mean((1, 2, 3))
    lost = 255 * (image - expected).abs().mean((1, 2, 3))
    assert (off < 0.25 + 0.05 * lost).all(), "libjpeg computes in integers, and so rounds a few coefficients otherwise"


def test_steps_are_those_that_pillow_writes_into_files() -> None:
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
        written: dict[int, Any] = Image.open(file).quantization  # type: ignore[attr-defined]
        found = _steps(torch.tensor([float(quality)]))[0].flatten(1).int().tolist()
        assert found == [list(written[0]), list(written[1])], quality


def test_blocks_keep_whole_steps_of_their_coefficients() -> None:
    plane = torch.randint(-128, 128, (2, 1, 24, 16), generator=torch.Generator().manual_seed(0)).float()
    steps = _steps(torch.tensor([30.0, 80.0]))[:, :1]
    expected = np.zeros(plane.shape)
    for image, top, left in np.ndindex(2, 3, 2):
        part = (image, 0, slice(8 * top, 8 * top + 8), slice(8 * left, 8 * left + 8))
        step = steps[image, 0].numpy()
        kept = np.round(dctn(plane[part].double().numpy(), norm="ortho") / step) * step
        expected[part] = np.round(idctn(kept, norm="ortho")).clip(-128, 127)
    assert np.abs(_coded(plane, steps).numpy() - expected).max() <= 1
    assert np.mean(_coded(plane, steps).numpy() == expected) > 0.99


def test_pixels_are_of_8_bits_and_each_image_has_its_own_quality() -> None:
    image, quality = pictures(), torch.tensor([20.0, 50.0, 90.0])
    found = jpeg(image, quality)
    assert torch.equal((found * 255).round() / 255, found) and found.min() >= 0 and found.max() <= 1
    assert torch.equal(found, torch.cat([jpeg(image[i : i + 1], quality[i : i + 1]) for i in range(3)]))


def test_lower_quality_loses_more() -> None:
    image = pictures()
    lost = [(jpeg(image, torch.full((3,), float(q))) - image).abs().mean((1, 2, 3)) for q in (100, 90, 60, 30, 10)]
    assert all((less < more).all() for less, more in pairwise(lost))
