"""`python -m lssat.tools.architecture`: draw the folders of the project and their imports, docs/architecture.svg.

Boxes, their sentences and the arrows come from the code. Where a box lies is said here, in `LAYOUT`: no program lays
out twenty boxes as well as a hand, and a box that is missing, or an arrow that does not point down, is an error.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
import tomllib
from html import escape
from itertools import product
from pathlib import Path
from typing import NamedTuple

import grimp
import networkx

from lssat.command import exit_code
from lssat.errors import ConfigError
from lssat.files import write_text

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "docs" / "architecture.svg"
PACKAGES = ("lssat", "search")
INSTANT = "lssat at once"
"""The box of the modules that the import rule of this id keeps free of torch, Ray, timm and Optuna."""

WIDTH, HEIGHT = 1286, 916
TOP, BOX, ROW = 146, 82, 132
"""Pixels from the upper edge to the first row, height of a box, and from row to row."""
LINES = 4  # of text in a box
MARGIN = 4
"""Pixels that an arrow keeps away from a box."""
METHOD, STUDY = 456, 26
"""Left edges of the two packages."""
LAYOUT = {  # box: pixels from its package's left edge, row, width
    "search commands": (0, -0.72, 380),
    "search.command_line": (0, -0.05, 184),
    "search.again": (196, -0.05, 184),
    "search.study": (0, 0.62, 196),
    "search.dashboard_view": (208, 0.62, 172),
    "search.page": (0, 1.31, 240),
    "search.planted": (260, 1.27, 120),
    "search.findings": (0, 1.99, 240),
    "search.plan": (260, 1.93, 120),
    "search.claims": (0, 2.67, 138),
    "search.strategy": (154, 2.67, 226),
    "search.earlier": (154, 3.34, 226),
    "search.record": (0, 3.99, 380),
    "search.space": (0, 4.75, 380),
    "lssat commands": (0, -0.5, 628),
    "lssat.answers": (0, 0.26, 188),
    "lssat.data_arguments": (204, 0.26, 200),
    "lssat.bundle": (0, 1, 188),
    "lssat.on_ray": (204, 1, 184),
    "lssat.data.prepare": (404, 1.68, 224),
    "lssat.local_server": (492, 2.98, 314),
    "lssat.tools": (644, 0.26, 160),
    "lssat.train": (0, 2, 400),
    "lssat.data.sources": (474, 2.35, 154),
    "lssat.data.synthetic": (644, 2, 160),
    "lssat.model": (0, 3, 160),
    "lssat.evaluation": (172, 4, 134),
    "lssat.data.prepared": (318, 3, 162),
    "lssat.data": (492, 4, 136),
    "lssat.inputs": (0, 4, 160),
    INSTANT: (0, 5, 804),
}
COLOURS = {"search": ("#fdf0e0", "#c9772b"), "lssat": ("#e6f1fb", "#2f74b5")}
"""Inside and edge of a package's boxes."""


Point = tuple[float, float]


class Box(NamedTuple):
    """A box of the picture: a folder, or modules that lie in none. `sentence` says what it is for."""

    title: str
    sentence: str
    modules: str


def main() -> int:
    """Draw the picture. 0: done, 2: the layout does not fit the code."""
    argparse.ArgumentParser(prog="python -m lssat.tools.architecture", description=__doc__).parse_args()
    return exit_code(lambda: write_text(OUTPUT, picture()))


def picture() -> str:
    """The picture as SVG. Raises ConfigError where `LAYOUT` does not fit the code."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    box_of = {module: _box_of(module, graph) for module in graph.modules - set(PACKAGES)}
    arrows = _arrows(graph, box_of)
    _check_layout(set(box_of.values()), arrows)
    boxes = "".join(_drawn(name, _content(name, box_of)) for name in LAYOUT)
    return _frame("".join(_line(start, end) for start, end in arrows) + boxes)


def _box_of(module: str, graph: grimp.ImportGraph) -> str:
    """The box that a module belongs to."""
    package, *folders = (f"{module}.__init__" if _is_folder(module) else module).split(".")[:-1]
    if module.startswith("lssat.") and any(f"{module}.".startswith(f"{light}.") for light in _instant_modules()):
        return INSTANT
    if module.endswith(".__main__") or (not folders and not graph.find_modules_that_directly_import(module)):
        return f"{package} commands"
    if not folders:
        return module
    return ".".join([package, *folders[: 2 if folders[0] == "data" else 1]])


def _instant_modules() -> list[str]:
    """What the import rule `instant` is about."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(list(contract["source_modules"]) for contract in contracts if contract["id"] == "instant")


def _arrows(graph: grimp.ImportGraph, box_of: dict[str, str]) -> list[tuple[str, str]]:
    """(importing box, imported box), without the arrows that follow from others."""
    boxes = networkx.DiGraph()
    for module, box in box_of.items():
        for imported in graph.find_modules_directly_imported_by(module):
            if imported in box_of and box_of[imported] != box:
                boxes.add_edge(box, box_of[imported])
    if not networkx.is_directed_acyclic_graph(boxes):
        raise ConfigError(f"folders import each other in a circle: {networkx.find_cycle(boxes)}")
    return sorted(networkx.transitive_reduction(boxes).edges)


def _check_layout(boxes: set[str], arrows: list[tuple[str, str]]) -> None:
    """Raises ConfigError where a box has no place, a place no box, or an arrow points up."""
    if differing := boxes ^ LAYOUT.keys():
        raise ConfigError(f"`LAYOUT` of {Path(__file__).name} and the code differ in: {', '.join(sorted(differing))}")
    for start, end in arrows:
        if LAYOUT[start][1] >= LAYOUT[end][1]:
            raise ConfigError(f"{start} imports {end}, so it must lie above it in `LAYOUT` of {Path(__file__).name}")


def _content(name: str, box_of: dict[str, str]) -> Box:
    package, path = _package(name), name.replace(".", "/")
    inside = package if name == INSTANT or name.endswith(" commands") else name
    modules = sorted(module for module, box in box_of.items() if box == name and not _is_folder(module))
    listed = ", ".join(module.removeprefix(f"{inside}.").removesuffix(".__main__") for module in modules)
    if name == INSTANT:
        return Box("lssat: what answers at once", "Needs neither torch, Ray, timm nor Optuna.", listed)
    if name.endswith(" commands"):
        return Box(f"{package}: commands", "Each reads its arguments and calls what lies below.", listed)
    if _is_folder(name):
        return Box(f"{path}/", _first_sentence(ROOT / path / "__init__.py"), listed)
    return Box(f"{path}.py", _first_sentence(ROOT / f"{path}.py"), "")


def _first_sentence(source: Path) -> str:
    """Of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(source.read_text())) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."


def _is_folder(module: str) -> bool:
    return (ROOT / module.replace(".", "/")).is_dir()


def _package(box: str) -> str:
    return box.split(".")[0].split()[0]


def _place(box: str) -> tuple[float, float, float]:
    """Left, top and width of a box in pixels."""
    left, row, width = LAYOUT[box]
    return left + (STUDY if _package(box) == "search" else METHOD), TOP + ROW * row, width


def _line(start: str, end: str) -> str:
    """The arrow between two boxes: of those that run through the fewest other boxes, the steepest."""
    (x, y, width), (end_x, end_y, end_width) = _place(start), _place(end)
    begins = [(port, y + BOX) for port in _ports(x, width)]
    if _package(start) != _package(end):  # sideways, where the other package has a gap between two rows
        begins = [(x + width, y + BOX / 2)]
    ends = [(port, end_y - 2) for port in _ports(end_x, end_width)]
    others = [_place(box) for box in LAYOUT if box not in (start, end)]

    def cost(line: tuple[Point, Point]) -> tuple[int, float]:
        return sum(_crosses(*line, box) for box in others), abs(line[1][0] - line[0][0])

    (x0, y0), (x1, y1) = min(product(begins, ends), key=cost)
    return f'<path d="M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" marker-end="url(#tip)"/>\n'


def _ports(left: float, width: float) -> list[float]:
    """Where arrows may touch an edge, the middle first."""
    count = max(5, int(width // 40) | 1)
    return sorted((left + width * (k + 0.5) / count for k in range(count)), key=lambda x: abs(x - left - width / 2))


def _crosses(start: Point, end: Point, box: tuple[float, float, float]) -> bool:
    """Whether the line between two points runs through a box."""
    left, top, width = box
    for share in (k / 40 for k in range(41)):
        x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
        if left - MARGIN < x < left + width + MARGIN and top - MARGIN < y < top + BOX + MARGIN:
            return True
    return False


def _drawn(name: str, box: Box) -> str:
    """Raises ConfigError where the sentence does not fit. The modules are listed where there is space for them."""
    x, y, width = _place(name)
    fill, edge = COLOURS[_package(name)]
    sentence, modules = (textwrap.wrap(text, int((width - 18) / 5.6)) for text in (box.sentence, box.modules))
    if len(sentence) > LINES:
        raise ConfigError(f"the first sentence of {name} is too long for its box; shorten it, or widen the box")
    lines = [(line, "") for line in sentence]
    if len(sentence) + len(modules) <= LINES:
        lines += [(line, ' class="modules"') for line in modules]
    text = "".join(f'<tspan x="{x + 10:.0f}" dy="14"{style}>{escape(line)}</tspan>' for line, style in lines)
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6" fill="{fill}" stroke="{edge}"/>\n'
        f'<text x="{x + 10:.0f}" y="{y + 19:.0f}" class="name" fill="{edge}">{escape(box.title)}</text>\n'
        f'<text x="{x + 10:.0f}" y="{y + 21:.0f}">{text}</text>\n'
    )


def _frame(content: str) -> str:
    """The whole file. It brings its own background, so that it reads on a dark page as well."""
    note = "An arrow: imports. What follows from other arrows is left out; no arrow points up."
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">
<!-- Written by `python -m lssat.tools.architecture`. -->
<style>
text {{ font: 11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #30363d }}
.name {{ font-size: 12.5px; font-weight: 600 }}
.modules {{ fill: #6e7781 }}
path {{ fill: none; stroke: #6e7781; stroke-width: 1.3 }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" style="fill:#6e7781;stroke:none"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff" stroke="#d0d7de"/>
<text x="{STUDY}" y="34" class="name" style="font-size:17px">search: the study</text>
<text x="{METHOD}" y="34" class="name" style="font-size:17px">lssat: the method</text>
<text x="{WIDTH - STUDY}" y="34" text-anchor="end">{note}</text>
{content}</svg>
"""


if __name__ == "__main__":
    sys.exit(main())
