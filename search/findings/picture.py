"""The tables of a finished study as a picture.

python -m search.findings.picture results/backbones-emotion tables.svg
"""

from __future__ import annotations

import argparse
import io
import shlex
import sys
from pathlib import Path

from lssat.command import exit_code, local_path
from lssat.text.console import SafeConsole
from search.findings import final_table, leaderboard
from search.findings.screen import final_sheet, leaderboard_sheet, show_final_table, show_leaderboard
from search.record.folder import RunFolder
from search.record.manifest import read_manifest


def main() -> int:
    """0: drawn, 2: no study."""
    parser = argparse.ArgumentParser(
        prog="python -m search.findings.picture",
        description="Draw leaderboard and final stage of a study, as wide as they are.",
    )
    parser.add_argument("study", type=local_path, help="its folder, results/<name>")
    parser.add_argument("picture", type=local_path, help="the SVG file to write")
    arguments = parser.parse_args()
    return exit_code(lambda: draw(RunFolder(arguments.study), arguments.picture))


def draw(folder: RunFolder, picture: Path) -> None:
    """Raises ConfigError where there is no study."""
    folder.check_study()
    manifest = read_manifest(folder.manifest)
    tested = manifest.test_scores
    rows = leaderboard.with_test(leaderboard.of_folder(folder), tested)
    search = manifest.final_search
    runs = final_table.planned_runs(folder, rows, search)
    table = final_table.with_test(final_table.final_table(folder, runs, rows, search), runs, tested)
    sheets = [leaderboard_sheet(rows), *([final_sheet(table)] if table else [])]
    console = SafeConsole(record=True, file=io.StringIO())
    console.width = max(sheet.width(console) for sheet in sheets)
    show_leaderboard(console, rows)
    if table:
        show_final_table(console, table)
    console.save_svg(str(picture), title=shlex.join(["python", *manifest.command]))


if __name__ == "__main__":
    sys.exit(main())
