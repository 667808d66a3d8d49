"""`python -m lssat.tools.synthetic_page`: draws the pages of synthetic faces in the docs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from lssat.command import local_path
from lssat.data.pictures import open_picture
from lssat.data.synthetic.generate import CLASSES, IMAGES_PER_IDENTITY, MADE, PER_FACE, Order, draw, plan

IMAGE_SIZE = 64
COLUMNS = 14
MARGIN = IMAGE_SIZE + 20  # left of the faces, for the name of the row


def main() -> int:
    """0: done."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.synthetic_page", description="Draw synthetic faces.")
    parser.add_argument("--out", type=local_path, default=Path("docs"), help="folder; default: docs")
    folder = parser.parse_args().out
    page(_faces(), IMAGE_SIZE).save(folder / "synthetic.png")
    page(_fakes(), 2 * IMAGE_SIZE).save(folder / "synthetic-fakes.png")
    return 0


def page(rows: Sequence[tuple[str, list[Order]]], side: int) -> Image.Image:
    """A row of faces for each name, each of so many pixels."""
    sheet = Image.new("RGB", (MARGIN + max(len(orders) for _, orders in rows) * side, len(rows) * side), "white")
    for down, (name, orders) in enumerate(rows):
        ImageDraw.Draw(sheet).text((6, (down + 0.4) * side), name, fill="black")
        for across, order in enumerate(orders):
            picture = open_picture(draw(order).image).picture.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(picture, (MARGIN + across * side, down * side))
    return sheet


def _faces() -> list[tuple[str, list[Order]]]:
    """A row per emotion, two with mixed attributes, one of real and one of fake faces."""
    rows: list[tuple[str, list[Order]]] = []
    emotions, attributes, faces = (
        [order for order in plan(task, 200, IMAGE_SIZE, 0) if order.split == "test"]
        for task in ("emotion", "attributes", "deepfake")
    )
    for label, name in enumerate(CLASSES["emotion"]):
        rows.append((name, [order for order in emotions if order.label == label][:COLUMNS]))
    of_each_person = attributes[::IMAGES_PER_IDENTITY]
    rows += [("attributes", of_each_person[start : start + COLUMNS]) for start in (0, COLUMNS)]
    for label, name in enumerate(CLASSES["deepfake"]):
        rows.append((name, [order for order in faces if bool(order.label) == bool(label)][:COLUMNS]))
    return rows


def _fakes() -> list[tuple[str, list[Order]]]:
    """Real faces, and below each the fakes of it by each method."""
    orders = plan("deepfake", 200, IMAGE_SIZE, 0)[: COLUMNS // 2 * PER_FACE["train"]]
    return [
        (method or CLASSES["deepfake"][0], [order for order in orders if MADE[order.label] == method])
        for method in MADE
    ]


if __name__ == "__main__":
    sys.exit(main())
