"""`--backbones`: the families and sizes of the catalogue on a screen of 80 columns."""

from __future__ import annotations

from lssat.model import catalog

FAMILY, CELL = 14, 7
"""Columns that a family and a number take."""
LEGEND = """
Millions of parameters, without classifier. A family and a size are searched or
pinned by backbone.family and backbone.size; backbone.name takes any other
architecture of timm. lssat/model/catalog.json says which architecture is meant."""


def backbone_table() -> str:
    """A line per family, a column per size."""
    lines = ["family".ljust(FAMILY) + "".join(size.rjust(CELL) for size in catalog.SIZES)]
    for family, sizes in catalog.read().items():
        cells = (_millions(sizes[size]["params"]) if size in sizes else "" for size in catalog.SIZES)
        lines.append((family.ljust(FAMILY) + "".join(cell.rjust(CELL) for cell in cells)).rstrip())
    return "\n".join(lines) + "\n" + LEGEND


def _millions(number: int) -> str:
    return f"{number / 1e6:.2f}" if number < 1e7 else f"{number / 1e6:.0f}"
