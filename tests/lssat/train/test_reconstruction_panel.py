"""The picture of an epoch can be read where it is shown smaller."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from lssat.train.reconstruction_panel import CAPTION, COLUMNS, LETTERS, sheet


@pytest.mark.parametrize("width", [300, 330, 400, 448])
def test_no_letter_of_a_caption_is_lost_where_pixels_are_left_out(width: int) -> None:
    """TensorBoard's cards do so: `prediction` was shown as `pred ction`."""
    picture = Image.open(io.BytesIO(sheet(torch.rand(2, len(COLUMNS), 3, 32, 32)))).convert("L")
    column_width = picture.width // len(COLUMNS)
    caption = picture.crop((0, 0, picture.width, round(CAPTION * column_width)))
    scale = width / picture.width
    small = caption.resize((width, round(caption.height * scale)), Image.Resampling.NEAREST)
    font = ImageFont.load_default(round(LETTERS * column_width))
    for column, name in enumerate(COLUMNS):
        start = column_width // 28
        assert font.getlength(name) < column_width - start, "the next caption begins there"
        for at in range(len(name)):
            left, right = (column * column_width + start + font.getlength(name[:end]) for end in (at, at + 1))
            letter = small.crop((round(left * scale), 0, round(right * scale), small.height))
            assert letter.getextrema()[0] < 100, f"letter {at} of {name} is too pale"


@pytest.mark.parametrize(("side", "times"), [(32, 8), (64, 4), (96, 3), (224, 1), (384, 1)])
def test_each_pixel_of_a_face_is_a_square_of_pixels_and_none_is_lost(side: int, times: int) -> None:
    """A texture map is noise to the eye wherever it is resampled."""
    tiles = torch.randint(0, 256, (2, len(COLUMNS), 3, side, side)) / 255
    picture = np.asarray(Image.open(io.BytesIO(sheet(tiles))))
    shown = picture[-2 * side * times :].reshape(2, side * times, len(COLUMNS), side * times, 3)
    for row, column in np.ndindex(2, len(COLUMNS)):
        pixels = (tiles[row, column] * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(shown[row, :, column], pixels.repeat(times, 0).repeat(times, 1))
