"""`python -m lssat.tools.synthetic_page`: draws the page of synthetic faces in the docs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from lssat.command import local_path
from lssat.data.pictures import open_picture
from lssat.data.synthetic.generate import CLASSES, IMAGES_PER_IDENTITY, KINDS, Order, draw, plan

IMAGE_SIZE = 64
COLUMNS = 14
MARGIN = IMAGE_SIZE + 10  # left of the faces, for the name of the row


def main() -> int:
    """0: done."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.synthetic_page", description="Draw synthetic faces.")
    parser.add_argument(
        "--out", type=local_path, default=Path("docs/synthetic.png"), help="default: docs/synthetic.png"
    )
    page().save(parser.parse_args().out)
    return 0


def page() -> Image.Image:
    """A page of test faces: a row per emotion, two with mixed attributes, one of real and one of fake faces."""
    rows = _rows()
    sheet = Image.new("RGB", (MARGIN + COLUMNS * IMAGE_SIZE, len(rows) * IMAGE_SIZE), "white")
    for down, (name, orders) in enumerate(rows):
        ImageDraw.Draw(sheet).text((6, (down + 0.4) * IMAGE_SIZE), name, fill="black")
        for across, order in enumerate(orders):
            sheet.paste(open_picture(draw(order).image).picture, (MARGIN + across * IMAGE_SIZE, down * IMAGE_SIZE))
    return sheet


def _rows() -> list[tuple[str, list[Order]]]:
    """The name of each row, and what to draw in it."""
    rows: list[tuple[str, list[Order]]] = []
    for task in KINDS:
        orders = [order for order in plan(task, 200, IMAGE_SIZE, 0) if order.split == "test"]
        if task == "attributes":
            of_each_person = orders[::IMAGES_PER_IDENTITY]
            rows += [(task, of_each_person[:COLUMNS]), (task, of_each_person[COLUMNS : 2 * COLUMNS])]
        else:
            for label, name in enumerate(CLASSES[task]):
                rows.append((name, [order for order in orders if order.label == label][:COLUMNS]))
    return rows


if __name__ == "__main__":
    sys.exit(main())
