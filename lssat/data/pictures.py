"""The one opening of pictures: whatever a JPEG or PNG file holds becomes 8-bit RGB, turned upright.

Preparation, training and evaluation open pictures here alone, so that none of them sees what another does not. Colour
profiles are not applied.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from lssat.data.images import UnusableImage

FORMATS = ("JPEG", "PNG")
DEEP = "I;16"  # how Pillow's names of 16-bit grey pixels begin
PAPER = (255, 255, 255)  # what shows through transparent pixels: a white page
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the stored pixels upright; 1 and unknown values need nothing."""


class Opened(NamedTuple):
    """A picture in 8-bit RGB, upright. `changed`: a bare conversion, which older versions made, gives other pixels."""

    picture: Image.Image
    changed: bool


@contextmanager
def refuse_bombs() -> Iterator[None]:
    """Inside, a picture that may be a decompression bomb is an error, and Pillow's other warnings are not shown.

    Not for threads: warning filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def open_picture(image: bytes | None) -> Opened:
    """The picture, decoded to its last row. Raises UnusableImage."""
    if not image:
        raise UnusableImage("no image bytes")
    with _reasons():
        return _converted(Image.open(io.BytesIO(image), formats=FORMATS))


def convert_picture(picture: Image.Image) -> Opened:
    """A picture that Pillow has opened, by the same rules. Raises UnusableImage."""
    with _reasons():
        return _converted(picture)


@contextmanager
def _reasons() -> Iterator[None]:
    """What goes wrong while a picture is decoded, as an UnusableImage."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableImage("decompression bomb refused") from None
    except UnidentifiedImageError:
        raise UnusableImage("not a JPEG or PNG image") from None
    except UnusableImage:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise UnusableImage(f"damaged image: {error}") from None


def _converted(picture: Image.Image) -> Opened:
    picture.load()
    turn = UPRIGHT.get(_orientation(picture))
    rgb, changed = _in_rgb(picture)
    return Opened(rgb if turn is None else rgb.transpose(turn), changed or turn is not None)


def _orientation(picture: Image.Image) -> int:
    """As EXIF (of PNG too) or XMP have it; 1 where they are absent or damaged, as viewers show such pictures."""
    if not {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"} & picture.info.keys():
        return 1
    try:
        return int(picture.getexif().get(Base.Orientation, 1))
    except Exception:  # a damaged block raises nearly anything; the pixels are whole
        return 1


def _in_rgb(picture: Image.Image) -> Opened:
    """The stored pixels in 8 bits and RGB. Raises UnusableImage."""
    key = picture.info.get("transparency")
    if picture.mode.startswith(DEEP):
        return _of_deep_grey(picture, key)
    if picture.mode == "CMYK" and "adobe" not in picture.info:
        # Pillow takes for granted that ink is stored inverted, as Adobe does and says in a marker of its own.
        return Opened(Image.eval(picture, lambda ink: 255 - ink).convert("RGB"), True)
    if picture.mode in ("LA", "RGBA") or key is not None:
        if isinstance(key, tuple) and max(key) > 255:
            raise UnusableImage("16-bit transparent colour is not supported")
        return _on_paper(picture.convert("RGBA"), picture)
    if picture.mode not in ("1", "L", "P", "RGB", "CMYK"):
        raise UnusableImage(f"pixels of kind {picture.mode} are not supported")
    return Opened(picture if picture.mode == "RGB" else picture.convert("RGB"), False)


def _of_deep_grey(picture: Image.Image, key: object) -> Opened:
    """The high byte of each 16-bit value, as Pillow takes it of colours; `key`: the value that is transparent."""
    values = np.asarray(picture)
    grey = (values >> 8).astype(np.uint8)
    if key is not None:
        shown = values != key
        if not shown.any():
            raise UnusableImage("wholly transparent image")
        grey = np.where(shown, grey, np.uint8(PAPER[0]))
    return Opened(Image.fromarray(grey).convert("RGB"), True)


def _on_paper(picture: Image.Image, stored: Image.Image) -> Opened:
    """An RGBA picture laid on a white page. `stored`: as the file has it."""
    alpha = picture.getchannel("A")
    least, most = alpha.getextrema()
    if most == 0:
        raise UnusableImage("wholly transparent image")
    if least == 255:
        return Opened(stored.convert("RGB"), False)
    paper = Image.new("RGBA", picture.size, (*PAPER, 255))
    return Opened(Image.alpha_composite(paper, picture).convert("RGB"), True)
