"""Reading images: damaged ones, bombs, and paths that lead elsewhere."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lssat.data.images import UnusableImage, read_inside
from lssat.data.pictures import open_picture, refuse_bombs


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
    assert open_picture(image).picture.getbbox() is not None
    with pytest.raises(UnusableImage, match="damaged image"):
        open_picture(image[: len(image) // 2])


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
        open_picture(image)


@pytest.mark.parametrize("side", [10_000, 60_000])  # 100 Mpixel: Pillow only warns; 3,600 Mpixel: Pillow refuses
def test_decompression_bombs_are_refused_without_a_warning_and_filters_are_put_back(side: int) -> None:
    before = list(warnings.filters)
    with refuse_bombs(), pytest.raises(UnusableImage, match="decompression bomb refused"):
        open_picture(png_header(side, side))
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
