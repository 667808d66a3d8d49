"""Reading images: damaged ones, bombs, and paths that lead elsewhere."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lssat.data.images import UnusableImage, decode_image, read_inside, refuse_bombs
from lssat.data.prepared.decoding import decode


def encoded(kind: str, side: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be large and holds nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_good_images_are_decoded_and_cut_ones_refused(kind: str) -> None:
    image = encoded(kind)
    assert decode_image(image).getbbox() is not None
    with pytest.raises(UnusableImage, match="damaged image"):
        decode_image(image[: len(image) // 2])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "no image bytes"),
        (b"", "no image bytes"),
        (b"hello", "not a JPEG or PNG"),
        (encoded("GIF"), "not a JPEG or PNG"),
    ],
)
def test_what_is_no_image_says_so(image: bytes | None, reason: str) -> None:
    with pytest.raises(UnusableImage, match=reason):
        decode_image(image)


@pytest.mark.parametrize("side", [10_000, 60_000])  # 100 Mpixel: Pillow only warns; 3,600 Mpixel: Pillow refuses
def test_decompression_bombs_are_refused_without_a_warning_and_filters_are_put_back(side: int) -> None:
    before = list(warnings.filters)
    with refuse_bombs(), pytest.raises(UnusableImage, match="decompression bomb refused"):
        decode_image(png_header(side, side))
    assert warnings.filters == before


def test_only_files_inside_the_folder_are_read(tmp_path: Path) -> None:
    root = (tmp_path / "data").resolve()
    (root / "a").mkdir(parents=True)
    (root / "a" / "in.jpg").write_bytes(b"inside")
    (tmp_path / "out.jpg").write_bytes(b"outside")
    os.symlink(tmp_path / "out.jpg", root / "link_out.jpg")
    os.symlink(root / "a" / "in.jpg", root / "link_in.jpg")
    os.symlink(tmp_path, root / "up")
    os.symlink(root / "loop", root / "loop")
    os.mkfifo(root / "pipe.jpg")
    assert read_inside(root, "a/in.jpg") == read_inside(root, "link_in.jpg") == b"inside"
    refused = {
        str(tmp_path / "out.jpg"): "path leaves the data folder",
        "../out.jpg": "path leaves the data folder",
        "a/../a/in.jpg": "path leaves the data folder",
        "C:\\out.jpg": "path leaves the data folder",
        "link_out.jpg": "link leaves the data folder",
        "up/out.jpg": "link leaves the data folder",
        "absent.jpg": "file not found",
        "a": "not a regular file",
        "pipe.jpg": "not a regular file",
        "": "no image path",
        "nul\0.jpg": "cannot be read",
        "loop": "cannot be read",
    }
    for name, reason in refused.items():
        with pytest.raises(UnusableImage, match=reason):
            read_inside(root, name)


RAMP = np.linspace(0, 255, 64).round().astype(np.uint8)[None].repeat(48, 0)  # dark on the left, light on the right


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: bytes) -> np.ndarray:
    return np.asarray(decode_image(image).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_whatever_its_exif_says(kind: str, orientation: int) -> None:
    """The definitions of the EXIF standard: what is at the top and at the left of the stored rows and columns."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    found = pixels(image)
    assert found.shape == upright.shape
    assert np.abs(found - upright)[4:-4, 4:-4].mean() < (1 if kind == "PNG" else 12)


def rgba(alpha: int) -> Image.Image:
    return Image.fromarray(np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, alpha)]))


MODES = {
    "grey, 8 bits": (Image.fromarray(RAMP), RAMP),
    "grey, 16 bits": (Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP),
    "grey, 1 bit": (Image.fromarray(RAMP >= 128), np.where(RAMP >= 128, 255, 0)),
    "colour": (Image.fromarray(RAMP).convert("RGB"), RAMP),
    "palette": (Image.fromarray(RAMP).convert("P"), RAMP),
    "opaque": (rgba(255), RAMP),
    "invisible": (rgba(0), np.full_like(RAMP, 255)),
    "half transparent": (rgba(128), RAMP * (128 / 255) + 127),
    "grey and transparent": (rgba(0).convert("LA"), np.full_like(RAMP, 255)),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_what_a_viewer_shows(mode: str) -> None:
    picture, wanted = MODES[mode]
    found = decode_image(saved(picture))
    assert found.mode in ("L", "RGB")
    assert np.abs(pixels(saved(picture)) - wanted[..., None]).max() <= 1.5


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_a_jpeg_of_any_colours(mode: str) -> None:
    found = pixels(saved(Image.fromarray(RAMP).convert("RGB").convert(mode), "JPEG", quality=100))
    assert np.abs(found - RAMP[..., None]).max() <= 6


def test_training_sees_what_was_checked() -> None:
    """A grey picture of 16 bits that was to be turned, resized as training does."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = saved(Image.fromarray(np.rot90(RAMP[:48, :48]).astype(np.uint16) * 257), exif=exif)
    found = decode({"image": [image], "label": [0], "row": [0]}, 48)["image"][0]
    assert np.array_equal(found, RAMP[:48, :48, None].repeat(3, 2))
