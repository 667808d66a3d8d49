"""Reading image files from a data folder, and proving that they decode."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePath, PureWindowsPath
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG")
CHUNK = 64
Item = TypeVar("Item")
Result = TypeVar("Result")


class UnusableImage(Exception):
    """Why an image is left out."""


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of every item, in order, a bounded number of them in flight."""
    remaining = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while chunk := list(islice(remaining, CHUNK)):
            with warnings.catch_warnings():  # of the whole chunk: filters belong to the process, not to a thread
                warnings.filterwarnings("ignore", module="PIL")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                results = list(pool.map(function, chunk))
            yield from results


def read_inside(root: Path, name: str) -> bytes:
    """The file `name` below `root` (resolved). Raises UnusableImage, also where the path leads out of `root`."""
    try:
        return resolve_inside(root, name).read_bytes()
    except OSError as error:
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def resolve_inside(root: Path, name: str) -> Path:
    """Where the file `name` below `root` (resolved) is. Raises UnusableImage, also where the path or a link leads out of `root`."""
    check_name(name)
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise UnusableImage("link leaves the data folder")
        if not path.exists():
            raise UnusableImage("file not found")
        if not path.is_file():
            raise UnusableImage("not a regular file")
        return path
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: a null byte in the name
        raise UnusableImage(f"cannot be read: {error.__class__.__name__}") from None


def check_name(name: str) -> None:
    """Refuse a name that leads out of its folder, or none at all. Raises UnusableImage."""
    if not name:
        raise UnusableImage("no image path")
    if PurePath(name).is_absolute() or PureWindowsPath(name).is_absolute() or ".." in PurePath(name).parts:
        raise UnusableImage("path leaves the data folder")


def check_image(image: bytes | None) -> bytes:
    """The bytes themselves, once they have decoded to the last row. Raises UnusableImage."""
    decoded(image)
    assert image
    return image


def decoded(image: bytes | None) -> Image.Image:
    """The picture, decoded to the last row. Raises UnusableImage."""
    if not image:
        raise UnusableImage("no image bytes")
    try:
        picture = Image.open(io.BytesIO(image), formats=FORMATS)
        picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableImage("decompression bomb refused") from None
    except UnidentifiedImageError:
        raise UnusableImage("not a JPEG or PNG image") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise UnusableImage(f"damaged image: {error}") from None
    return picture
