"""Whatever a file holds becomes the 8-bit RGB that a viewer shows: beside arithmetic and other decoders."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage.util import img_as_ubyte

from lssat.data.images import UnusableImage
from lssat.data.pictures import open_picture
from lssat.data.prepared.decoding import decode

Pixels = npt.NDArray[np.generic]
GENERATOR = np.random.default_rng(0)
BYTES = {channels: GENERATOR.integers(0, 256, (24, 32, channels), np.uint8) for channels in (1, 2, 3, 4)}
WORDS = {channels: GENERATOR.integers(0, 65536, (24, 32, channels), np.uint16) for channels in (1, 2, 3, 4)}
COLOR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}


def png(pixels: Pixels, color_type: int | None = None, depth: int | None = None, **chunks: bytes) -> bytes:
    """Written by hand, after the standard: [H, W, C] of 8 or 16 bits; grey of fewer bits where `depth` says so."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width, channels = pixels.shape
    depth = depth or 8 * pixels.itemsize
    color_type = COLOR_TYPE[channels] if color_type is None else color_type
    if depth < 8:
        bits = np.unpackbits(pixels.astype(np.uint8), axis=2)[:, :, -depth:].reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in bits]
    else:
        rows = [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels]
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    extra = b"".join(chunk(name.encode(), content) for name, content in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def rgb(image: bytes) -> npt.NDArray[np.int64]:
    """As training sees it, which is as preparation does."""
    picture = open_picture(image).picture
    seen = decode({"image": [image], "label": [0], "row": [0]}, 8)["image"][0]
    assert picture.mode == "RGB"
    assert (seen == np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR, reducing_gap=2.0))).all()
    return np.asarray(picture).astype(int)


def grey(values: Pixels) -> npt.NDArray[np.int64]:
    return np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=2).astype(int)


def on_white(color: Pixels, alpha: Pixels) -> npt.NDArray[np.float64]:
    share = alpha.astype(float) / 255
    return share * color + (1 - share) * 255


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_of_up_to_eight_bits_is_spread_over_all_levels(depth: int) -> None:
    values = BYTES[1] >> (8 - depth)
    assert (rgb(png(values, depth=depth)) == grey(values.astype(int) * 255 // (2**depth - 1))).all()


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    assert (rgb(png(WORDS[1])) == grey(img_as_ubyte(WORDS[1]))).all()
    assert (rgb(png(WORDS[3])) == img_as_ubyte(WORDS[3])).all()
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))[:, :, None]
    assert len(np.unique(rgb(png(ramp)))) == 64
    assert rgb(png(ramp)).mean() == pytest.approx(127, abs=0.5)


@pytest.mark.parametrize("values", [BYTES, WORDS], ids=["8 bits", "16 bits"])
def test_transparent_pixels_show_a_white_page(values: dict[int, Pixels]) -> None:
    for channels in (2, 4):
        eight = img_as_ubyte(values[channels])
        color = grey(eight[:, :, :1]) if channels == 2 else eight[:, :, :3]
        assert np.abs(rgb(png(values[channels])) - on_white(color, eight[:, :, -1:])).max() <= 1


def test_opaque_pixels_with_an_alpha_channel_keep_their_colours() -> None:
    opaque = BYTES[4].copy()
    opaque[:, :, 3] = 255
    assert (rgb(png(opaque)) == opaque[:, :, :3]).all()
    assert not open_picture(png(opaque)).changed


def test_what_shows_nothing_at_all_is_refused() -> None:
    clear = BYTES[4].copy()
    clear[:, :, 3] = 0
    flat = np.full((8, 8, 1), 300, np.uint16)
    for image in (png(clear), png(flat, tRNS=struct.pack(">H", 300))):
        with pytest.raises(UnusableImage, match="wholly transparent"):
            open_picture(image)


def test_palettes_with_and_without_transparent_entries() -> None:
    palette, alpha = BYTES[3].reshape(-1, 3)[:16], BYTES[1].ravel()[:16]
    indices = BYTES[1] % 16
    chosen = palette[indices[:, :, 0]]
    for depth in (4, 8):
        assert (rgb(png(indices, 3, depth, PLTE=palette.tobytes())) == chosen).all()
        found = rgb(png(indices, 3, depth, PLTE=palette.tobytes(), tRNS=alpha.tobytes()))
        assert np.abs(found - on_white(chosen, alpha[indices[:, :, 0]][:, :, None])).max() <= 1


def test_one_transparent_colour() -> None:
    values = BYTES[1] // 64 * 64
    assert (rgb(png(values, tRNS=struct.pack(">H", 64))) == grey(np.where(values == 64, 255, values))).all()
    deep = WORDS[1] // 16384 * 16384
    expected = np.where(deep == 16384, 255, deep >> 8)
    assert (rgb(png(deep, tRNS=struct.pack(">H", 16384))) == grey(expected)).all()
    color = np.stack([values[:, :, 0]] * 3, axis=2)
    assert (rgb(png(color, tRNS=struct.pack(">HHH", 64, 64, 64))) == np.where(values == 64, 255, color)).all()
    with pytest.raises(UnusableImage, match="16-bit transparent colour"):
        open_picture(png(WORDS[3], tRNS=struct.pack(">HHH", 640, 640, 640)))


def smooth() -> npt.NDArray[np.uint8]:
    down, across = np.mgrid[0:48, 0:64]
    return np.stack([down * 5, across * 4, (down + across) * 2], axis=2).astype(np.uint8)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_colour_jpegs_look_as_ffmpeg_decodes_them(subsampling: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "JPEG", quality=95, subsampling=subsampling)
    with av.open(io.BytesIO(buffer.getvalue()), format="mjpeg") as container:
        other = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(rgb(buffer.getvalue()) - other).mean() < 3


def without_adobe(image: bytes) -> bytes:
    begin = image.index(b"\xff\xee")
    return image[:begin] + image[begin + 2 + int.from_bytes(image[begin + 2 : begin + 4]) :]


def test_ink_is_inverted_where_adobe_says_so_and_only_there() -> None:
    ink = 255 - np.concatenate([smooth(), np.full((48, 64, 1), 255, np.uint8)], axis=2)
    buffer = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(buffer, "JPEG", quality=98)  # which stores it inverted, with Adobe's marker
    marked = buffer.getvalue()
    assert np.abs(rgb(marked) - smooth()).mean() < 2
    buffer = io.BytesIO()
    Image.fromarray(255 - ink, "CMYK").save(buffer, "JPEG", quality=98)
    assert np.abs(rgb(without_adobe(buffer.getvalue())) - smooth()).mean() < 2


TURNED = {  # what a viewer makes of the stored pixels [H, W]: TIFF 6.0, tag 274
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = TURNED[orientation](smooth().astype(int))
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "JPEG", exif=exif, quality=98)
    assert np.abs(rgb(buffer.getvalue()) - expected).mean() < 2
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert (rgb(png(smooth(), eXIf=block)) == expected).all()
    deep = (smooth()[:, :, :1].astype(np.uint16) << 8) + 7
    assert (rgb(png(deep, eXIf=block)) == grey(TURNED[orientation](smooth()[:, :, :1].astype(int)))).all()
    assert open_picture(png(smooth(), eXIf=block)).changed == (orientation != 1)


@pytest.mark.parametrize("block", [b"no exif", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0", b""])
def test_damaged_and_unknown_orientations_are_passed_over(block: bytes) -> None:
    assert (rgb(png(smooth(), eXIf=block)) == smooth()).all()


def test_nobody_else_opens_pictures() -> None:
    """A second door would show training other pixels than preparation has seen."""
    root = Path(__file__).parents[3]
    doors = [path for path in root.glob("lssat/data/**/*.py") if "Image.open(" in path.read_text()]
    assert [path.name for path in doors] == ["pictures.py"]
