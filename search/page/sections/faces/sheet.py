"""A contact sheet: faces in rows with a few words below each, legible at the width of a phone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lssat.data.images import UnusableImage
from lssat.data.pictures import open_picture
from lssat.text.visible import on_one_line

COLUMNS = 4
SIDE = 176
"""Of a face, in pixels."""
GAP = 12
LINE = 27
FONT, SMALLEST = 23, 17
"""Sizes of letters. A phone shows the sheet at half its size."""
PAPER, INKS = "white", ("#1c2530", "#a34a00", "#5a6673")
"""Of the first line, of the second, of the others."""
NO_FACE = "#d9dfe5"
QUALITY = 85
SUFFIX = "jpeg"


@dataclass(frozen=True)
class Face:
    """A face with the lines below it. image: the file of the picture."""

    image: bytes
    lines: Sequence[str]


def contact_sheet(faces: Sequence[Face]) -> bytes:
    """The faces from left to right, then downwards, as a JPEG."""
    lines = max(len(face.lines) for face in faces)
    width, height = SIDE + GAP, SIDE + lines * LINE + 2 * GAP
    columns, rows = min(COLUMNS, len(faces)), -(-len(faces) // COLUMNS)
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, face in enumerate(faces):
        left, top = GAP + place % COLUMNS * width, GAP + place // COLUMNS * height
        sheet.paste(picture(face.image), (left, top))
        for number, line in enumerate(face.lines):
            text, font = fitted(line)
            ink = INKS[min(number, len(INKS) - 1)]
            pen.text((left, top + SIDE + 4 + number * LINE), text, fill=ink, font=font)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def picture(image: bytes) -> Image.Image:
    """The face at the size of the sheet, whole, with its sides as they are; grey where it cannot be opened."""
    try:
        opened = open_picture(image).picture
    except UnusableImage:
        return Image.new("RGB", (SIDE, SIDE), NO_FACE)
    return ImageOps.pad(opened, (SIDE, SIDE), Image.Resampling.BICUBIC, PAPER)


def fitted(text: str) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The text in the largest letters in which it fits below a face, cut where it fits in none."""
    text = on_one_line(text)
    for size in range(FONT, SMALLEST - 1, -1):
        if _font(size).getlength(text) <= SIDE:
            return text, _font(size)
    font = _font(SMALLEST)
    while font.getlength(f"{text}…") > SIDE:
        text = text[:-1]
    return f"{text}…", font


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
