"""A report on disk: the page, its claims as JSON, its tables as CSV and Markdown, its charts as SVG and PNG."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import vl_convert

from lssat.errors import ConfigError
from lssat.files import write_json, write_text, write_whole
from lssat.text.markdown import markdown_table
from search.findings.csv_files import write_csv
from search.page.charts import WIDTH, plain, spec
from search.page.document import Chart, Picture, Report, Statement, Table, shown
from search.page.render import html
from search.record.names import REPORT, REPORT_CLAIMS, REPORT_PARTS

FORMAT = 1
"""Of report.json; raise it when a reader of before would misread it."""


def write(report: Report, folder: Path, draws_charts: bool = True) -> Path:
    """Write all of it into a folder, and give the path of the page. What an earlier report left there and this one
    lacks is deleted. `draws_charts`: into files too, which takes about as long as all the rest.

    Raises ConfigError where it cannot be written.
    """
    earlier = _files_of(folder / REPORT_CLAIMS)
    said = claims(report, draws_charts)
    try:
        _delete(folder / REPORT_PARTS, earlier - set(said["files"]))
        write_json(folder / REPORT_CLAIMS, said)  # before its files: where it ends here, the next report knows them
        for block in report.blocks:
            if isinstance(block, Table):
                _write_table(block, folder / REPORT_PARTS)
            elif isinstance(block, Chart) and draws_charts:
                _write_chart(block, folder / REPORT_PARTS)
            elif isinstance(block, Picture):
                _write_bytes(folder / REPORT_PARTS / f"{block.name}.{block.suffix}", block.content)
        write_text(folder / REPORT, html(report))
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written into {folder} ({error.strerror or error}); choose another folder by `--out`"
        ) from error
    return folder / REPORT


def claims(report: Report, draws_charts: bool = True) -> dict[str, Any]:
    """What the page says, for programs: every sentence with its test, interval, margin and data, and the names of the
    files in `report/`.
    """
    said = [
        {**asdict(block), "part": part.id, "section": section.id}
        for part in report.parts
        for section in part.sections
        for block in section.blocks
        if isinstance(block, Statement)
    ]
    files = list(_names(report, draws_charts))
    found: dict[str, Any] = plain(
        {"format": FORMAT, "title": report.title, "about": report.about, "claims": said, "files": files}
    )
    return found


def _names(report: Report, draws_charts: bool) -> Iterator[str]:
    for block in report.blocks:
        if isinstance(block, Table):
            yield from (f"{block.name}.csv", f"{block.name}.md")
        elif isinstance(block, Chart) and draws_charts:
            yield from (f"{block.name}.svg", f"{block.name}.png")
        elif isinstance(block, Picture):
            yield f"{block.name}.{block.suffix}"


def _files_of(path: Path) -> set[str]:
    """The names of the files of an earlier report; none where there is none, or it is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = json.loads(path.read_text())["files"]
        return {name for name in names if Path(name).name == name and name not in ("", ".", "..")}
    return set()


def _delete(folder: Path, names: Collection[str]) -> None:
    """Of these, what is a file in the folder itself: no folder, link or place elsewhere."""
    for path in (folder / name for name in names):
        if path.is_file() and not path.is_symlink():
            path.unlink()


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
