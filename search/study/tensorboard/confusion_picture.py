"""A table of counts as a picture: what is true in rows, what was predicted in columns, and how often."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lssat.evaluation.metrics import Array

FEW = 12
"""So many columns have room for letters that can be read where TensorBoard shows the picture smaller, by leaving out
pixels.
"""
MARGIN = 12
INK, PALE, GREY = "black", "white", (110, 110, 110)
RIGHT, WRONG = (8, 64, 129), (179, 78, 0)
"""The colours of a share of 1, of what is right and of what is an error; that of 0 is white."""


@dataclass(frozen=True)
class Counts:
    """`table`, `of`, `is_right` [R, C]: how often, of how many that is a share, and whether it is no error.

    `titles`: of the rows and of the columns.
    """

    table: Array
    of: Array
    is_right: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    titles: tuple[str, str]


@dataclass(frozen=True)
class _Layout:
    """In pixels: sides of a cell, where the first one begins, and sizes of the fonts of names, shares and counts."""

    cell: tuple[int, int]
    origin: tuple[int, int]
    letters: tuple[int, int, int]
    is_upright: bool

    def corner(self, row: int, column: int) -> tuple[int, int]:
        return self.origin[0] + column * self.cell[0], self.origin[1] + row * self.cell[1]


def draw(counts: Counts, caption: str) -> bytes:
    """PNG: in each cell its share in percent, and below it the count; a cell without any is empty."""
    layout = _layout(counts)
    right, bottom = layout.corner(*counts.table.shape)
    width = max(right, _longest([caption], layout.letters[0]) + MARGIN) + MARGIN
    picture = Image.new("RGB", (width, bottom + MARGIN), PALE)
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN, MARGIN), caption, INK, _font(layout.letters[0]))
    _draw_headers(picture, counts, layout)
    for at in np.ndindex(counts.table.shape):
        _draw_cell(pen, layout, at, counts)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _layout(counts: Counts) -> _Layout:
    cell, letters = ((92, 76), (24, 30, 22)) if len(counts.columns) <= FEW else ((44, 36), (16, 13, 10))
    size = letters[0]
    beside, above = (_longest(names, size) for names in ((*counts.rows, counts.titles[0]), counts.columns))
    is_upright = above > cell[0] - 8
    origin = beside + 2 * MARGIN, (above if is_upright else size) + 2 * size + 5 * MARGIN
    return _Layout(cell, origin, letters, is_upright)


def _longest(names: Sequence[str], size: int) -> int:
    return math.ceil(max(_font(size).getlength(name) for name in names))


def _draw_headers(picture: Image.Image, counts: Counts, layout: _Layout) -> None:
    """Names of rows and columns, and what they are names of."""
    pen, size, (left, top) = ImageDraw.Draw(picture), layout.letters[0], layout.origin
    font = _font(size)
    of_rows, of_columns = counts.titles
    pen.text((left, 2 * MARGIN + size), of_columns, GREY, font)
    pen.text((left - MARGIN, top - MARGIN // 2), of_rows, GREY, font, anchor="rb")
    for row, name in enumerate(counts.rows):
        pen.text((left - MARGIN, layout.corner(row, 0)[1] + layout.cell[1] // 2), name, INK, font, anchor="rm")
    for column, name in enumerate(counts.columns):
        middle = layout.corner(0, column)[0] + layout.cell[0] // 2
        if not layout.is_upright:
            pen.text((middle, top - MARGIN // 2), name, INK, font, anchor="mb")
            continue
        upright = Image.new("RGB", (math.ceil(font.getlength(name)), round(1.3 * size)), PALE)
        ImageDraw.Draw(upright).text((0, 0), name, INK, font)
        upright = upright.rotate(90, expand=True)
        picture.paste(upright, (middle - upright.width // 2, top - MARGIN // 2 - upright.height))


def _draw_cell(pen: ImageDraw.ImageDraw, layout: _Layout, at: tuple[int, ...], counts: Counts) -> None:
    """A count and its share."""
    count, of = int(counts.table[at]), int(counts.of[at])
    portion = count / of if of else 0.0
    (left, top), (width, height) = layout.corner(*at), layout.cell
    full = RIGHT if counts.is_right[at] else WRONG
    colour = tuple(round(255 + portion * (channel - 255)) for channel in full)
    pen.rectangle((left, top, left + width, top + height), colour, (200, 200, 200))
    if count:
        ink, (x, y) = PALE if portion > 0.6 else INK, (left + width // 2, top + height // 2)
        _, of_share, of_count = map(_font, layout.letters)
        words = f"{portion:.0%}" if portion >= 0.005 else "<1%"
        pen.text((x, y), words, ink, of_share, anchor="mb")
        pen.text((x, y + height // 16), str(count), ink, of_count, anchor="mt")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
