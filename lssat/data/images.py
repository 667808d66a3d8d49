"""Reading image files from a data folder, and proving that they decode."""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG")
ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[/\\]")  # also as Windows has it


class UnusableImage(Exception):
    """Why an image is left out."""


@contextmanager
def refuse_bombs() -> Iterator[None]:
    """Inside, a picture that may be a decompression bomb is an error, and Pillow's other warnings are not shown.

    Not for threads: warning filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_inside(root: Path, name: str) -> bytes:
    """The file `name` below `root` (resolved). Raises UnusableImage, also where the path leads out of `root`."""
    try:
        return resolve_inside(root, name).read_bytes()
    except OSError as error:
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def resolve_inside(root: Path, name: str) -> Path:
    """Where the file `name` below `root` (resolved) is.

    Raises UnusableImage, also where the path or a link leads out of `root`.
    """
    check_name(name)
    folder, _, last = name.rpartition("/")
    try:
        path = _real_folder(root, folder) / last
        if path.is_symlink():
            path = path.resolve()
        if not path.is_relative_to(root):
            raise UnusableImage("link leaves the data folder")
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnusableImage("not a regular file")
        return path
    except (FileNotFoundError, NotADirectoryError):
        raise UnusableImage("file not found") from None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle; ValueError: a null byte
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def check_name(name: str) -> None:
    """Refuse a name that leads out of its folder, or none at all. Raises UnusableImage."""
    if not name:
        raise UnusableImage("no image path")
    if ABSOLUTE.match(name) or ".." in name.split("/"):
        raise UnusableImage("path leaves the data folder")


@lru_cache(maxsize=1024)
def _real_folder(root: Path, folder: str) -> Path:
    """The folder with links on the way resolved: once for all its files, since this takes longer than to read one."""
    return (root / folder).resolve()


def decode_image(image: bytes | None) -> Image.Image:
    """The picture as a viewer shows it, decoded to its last row: upright, 8 bits a channel, of mode L or RGB.

    The one way in which pictures are opened. Its EXIF orientation is applied, what is transparent lies on white, and 16
    bits are scaled to 8. Raises UnusableImage.
    """
    if not image:
        raise UnusableImage("no image bytes")
    try:
        picture = Image.open(io.BytesIO(image), formats=FORMATS)
        picture.load()
        return _eight_bits(ImageOps.exif_transpose(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableImage("decompression bomb refused") from None
    except UnidentifiedImageError:
        raise UnusableImage("not a JPEG or PNG image") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise UnusableImage(f"damaged image: {error}") from None


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Of mode L or RGB. Pillow clips 16 bits instead of scaling them, and drops what makes pixels transparent."""
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), coloured).convert("RGB")
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode.startswith("I"):  # a PNG has at most 16 bits, without a sign
        return Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert("L" if picture.mode == "1" else "RGB")
