"""`python -m lssat.tools.detections`: draws what the face detector finds on whole frames, for the docs.

The frames are photos that come with scikit-image and scikit-learn. The faces are an astronaut, of one of these photos,
and drawn ones; no photo of a person of any data set is shown.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from sklearn.datasets import load_sample_images

from lssat.command import local_path
from lssat.data.pictures import open_picture
from lssat.data.prepare.detection import Face, largest_face
from lssat.data.synthetic.generate import draw, plan

COLUMNS, ROWS = 5, 4
WIDTH, HEIGHT = 640, 400
SHOWN = 0.4  # of a frame's size
SHARES, TURNS = (0.2, 0.35, 0.5, 0.7), (0, 20, -20, 40, -40)
"""Of the frame's height, a row each; degrees clockwise, a column each."""


def main() -> int:
    """0: done."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.detections", description="Draw what is detected.")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("docs/pictures/detections.jpg"),
        help="default: docs/pictures/detections.jpg",
    )
    page().save(parser.parse_args().out, quality=85)
    return 0


def page() -> Image.Image:
    """Twenty frames: faces grow from row to row and are turned from column to column."""
    sheet = Image.new("RGB", (round(COLUMNS * WIDTH * SHOWN), round(ROWS * HEIGHT * SHOWN)), "white")
    for number in range(COLUMNS * ROWS):
        row, column = divmod(number, COLUMNS)
        frame = _frame(number, SHARES[row], TURNS[column])
        face = largest_face(np.asarray(frame))
        if face:
            _mark(frame, face)
        small = frame.resize((round(WIDTH * SHOWN), round(HEIGHT * SHOWN)), Image.Resampling.LANCZOS)
        sheet.paste(small, (column * small.width, row * small.height))
    return sheet


def _frame(number: int, share: float, turn: float) -> Image.Image:
    photos = [data.coffee(), data.chelsea(), data.rocket(), *load_sample_images().images]
    frame = Image.fromarray(photos[number % len(photos)]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    face = _astronaut() if number % 2 else _drawn(number)
    side = round(share * HEIGHT)
    ellipse = Image.new("L", (256, 256))
    ImageDraw.Draw(ellipse).ellipse((16, 4, 240, 252), fill=255)
    turned, mask = (each.rotate(-turn, Image.Resampling.BICUBIC).resize((side, side)) for each in (face, ellipse))
    frame.paste(turned, (60 + 83 * number % (WIDTH - side - 80), (HEIGHT - side) // 2), mask)
    return frame


def _astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut()[30:190, 145:305]).resize((256, 256), Image.Resampling.BICUBIC)


def _drawn(number: int) -> Image.Image:
    orders = [order for order in plan("emotion", 200, 256, 0) if order.split == "test"]
    return open_picture(draw(orders[5 * number]).image).picture


def _mark(frame: Image.Image, face: Face) -> None:
    """Its square, and a line in it that is level where the face is upright."""
    brush, box = ImageDraw.Draw(frame), face.box
    brush.rectangle(box, outline="#22dd55", width=4)
    x, y, half = (box.left + box.right) / 2, (box.top + box.bottom) / 2, (box.right - box.left) / 2
    across, down = half * math.cos(math.radians(face.turn)), half * math.sin(math.radians(face.turn))
    brush.line((x - across, y - down, x + across, y + down), fill="#ffcc00", width=4)


if __name__ == "__main__":
    sys.exit(main())
