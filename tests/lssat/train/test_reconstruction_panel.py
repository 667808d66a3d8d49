"""The picture of an epoch can be read where it is shown smaller."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image, ImageFont

from lssat.train.reconstruction_panel import CAPTION, COLUMNS, LETTERS, TILE, sheet


@pytest.mark.parametrize("width", [300, 330, 400, 448])
def test_no_letter_of_a_caption_is_lost_where_pixels_are_left_out(width: int) -> None:
    """TensorBoard's cards do so: `prediction` was shown as `pred ction`."""
    picture = Image.open(io.BytesIO(sheet(torch.rand(2, len(COLUMNS), 3, 32, 32)))).convert("L")
    caption = picture.crop((0, 0, picture.width, CAPTION))
    scale = width / picture.width
    small = caption.resize((width, round(CAPTION * scale)), Image.Resampling.NEAREST)
    font = ImageFont.load_default(LETTERS)
    for column, name in enumerate(COLUMNS):
        assert font.getlength(name) < TILE - 4, "the next caption begins there"
        for at in range(len(name)):
            left, right = (column * TILE + 4 + font.getlength(name[:end]) for end in (at, at + 1))
            letter = small.crop((round(left * scale), 0, round(right * scale), small.height))
            assert letter.getextrema()[0] < 100, f"letter {at} of {name} is too pale"
