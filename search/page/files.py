"""A report on disk: the page, its claims as JSON, its tables as CSV and Markdown, its charts as SVG and PNG."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert

from lssat.files import write_json, write_text, write_whole
from lssat.markdown import markdown_table
from search.findings.csv_files import write_csv
from search.page.charts import WIDTH, spec
from search.page.document import Chart, Picture, Report, Statement, Table, shown
from search.page.render import html

FORMAT = 1
"""Of report.json; raise it when a reader of before would misread it."""
PAGE, CLAIMS, PARTS = "report.html", "report.json", "report"


def write(report: Report, folder: Path) -> Path:
    """Write all of it into a folder, and give the path of the page."""
    page = folder / PAGE
    write_text(page, html(report))
    write_json(folder / CLAIMS, claims(report))
    for block in report.blocks:
        if isinstance(block, Table):
            _write_table(block, folder / PARTS)
        elif isinstance(block, Chart):
            _write_chart(block, folder / PARTS)
        elif isinstance(block, Picture):
            _write_bytes(folder / PARTS / f"{block.name}.{block.suffix}", block.content)
    return page


def claims(report: Report) -> dict[str, Any]:
    """What the page says, for programs: every sentence with its test, interval, margin and data."""
    said = [
        {**asdict(block), "part": part.id, "section": section.id}
        for part in report.parts
        for section in part.sections
        for block in section.blocks
        if isinstance(block, Statement)
    ]
    tables = [f"{PARTS}/{block.name}.csv" for block in report.blocks if isinstance(block, Table)]
    return {"format": FORMAT, "title": report.title, "about": report.about, "claims": said, "tables": tables}


def _write_table(table: Table, folder: Path) -> None:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    write_csv(folder / f"{table.name}.csv", table.columns, rows)
    numbers = [name for name, is_number in zip(table.columns, table.is_number, strict=True) if is_number]
    body = markdown_table(table.columns, [[shown(cell) for cell in row] for row in table.rows], numbers)
    write_text(folder / f"{table.name}.md", f"{table.title}\n\n{body}" + (f"\n{table.note}\n" if table.note else ""))


def _write_chart(chart: Chart, folder: Path) -> None:
    """Black on white, as papers want it."""
    drawn = spec(chart.chart, WIDTH)
    drawn["config"] = {**drawn["config"], "background": "white"}
    svg = vl_convert.vegalite_to_svg(drawn)
    write_text(folder / f"{chart.name}.svg", svg)
    _write_bytes(folder / f"{chart.name}.png", vl_convert.svg_to_png(svg, scale=2))


def _write_bytes(path: Path, content: bytes) -> None:
    write_whole(path, lambda temporary: temporary.write_bytes(content))
