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
"""So many columns have room for large letters."""
MARGIN = 12
LETTERS = 16
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
    """In pixels: sides of a cell, and where the first one begins."""

    cell: tuple[int, int]
    origin: tuple[int, int]
    letters: int
    is_upright: bool

    def corner(self, row: int, column: int) -> tuple[int, int]:
        return self.origin[0] + column * self.cell[0], self.origin[1] + row * self.cell[1]


def draw(counts: Counts, caption: str) -> bytes:
    """PNG: in each cell its share in percent, and below it the count; a cell without any is empty."""
    layout = _layout(counts)
    right, bottom = layout.corner(*counts.table.shape)
    width = max(right, round(_font(LETTERS).getlength(caption)) + MARGIN) + MARGIN
    picture = Image.new("RGB", (width, bottom + MARGIN), PALE)
    pen = ImageDraw.Draw(picture)
    pen.text((MARGIN, MARGIN), caption, INK, _font(LETTERS))
    _draw_headers(picture, counts, layout)
    for at in np.ndindex(counts.table.shape):
        _draw_cell(pen, layout, at, counts)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _layout(counts: Counts) -> _Layout:
    is_small = len(counts.columns) <= FEW
    cell, letters = ((84, 56), LETTERS + 2) if is_small else ((44, 36), 13)
    beside, above = (_longest(names) for names in ((*counts.rows, counts.titles[0]), counts.columns))
    is_upright = above > cell[0] - 8
    origin = beside + 2 * MARGIN, (above if is_upright else LETTERS) + 2 * LETTERS + 5 * MARGIN
    return _Layout(cell, origin, letters, is_upright)


def _longest(names: Sequence[str]) -> int:
    return math.ceil(max(_font(LETTERS).getlength(name) for name in names))


def _draw_headers(picture: Image.Image, counts: Counts, layout: _Layout) -> None:
    """Names of rows and columns, and what they are names of."""
    pen, font, (left, top) = ImageDraw.Draw(picture), _font(LETTERS), layout.origin
    of_rows, of_columns = counts.titles
    pen.text((left, 2 * MARGIN + LETTERS), of_columns, GREY, font)
    pen.text((left - MARGIN, top - MARGIN // 2), of_rows, GREY, font, anchor="rb")
    for row, name in enumerate(counts.rows):
        pen.text((left - MARGIN, layout.corner(row, 0)[1] + layout.cell[1] // 2), name, INK, font, anchor="rm")
    for column, name in enumerate(counts.columns):
        middle = layout.corner(0, column)[0] + layout.cell[0] // 2
        if not layout.is_upright:
            pen.text((middle, top - MARGIN // 2), name, INK, font, anchor="mb")
            continue
        upright = Image.new("RGB", (round(font.getlength(name)) + 2, LETTERS + 6), PALE)
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
        ink, middle = PALE if portion > 0.6 else INK, left + width // 2
        pen.text(
            (middle, top + height // 2),
            f"{portion:.0%}" if portion >= 0.005 else "<1%",
            ink,
            _font(layout.letters),
            anchor="mb",
        )
        pen.text((middle, top + height // 2 + 4), str(count), ink, _font(layout.letters - 4), anchor="mt")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
