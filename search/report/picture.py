"""The tables of a finished study as a picture: `python -m search.picture results/backbones-emotion
docs/leaderboard.svg`.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
from pathlib import Path

from rich.console import Console

from lssat.config import ConfigError
from search.report import leaderboard
from search.report.screen import show_finals, show_leaderboard
from search.space.settings import SearchConfig
from search.strategy import finalists as finals

WIDTH = 160  # columns


def main() -> int:
    """0: drawn, 2: no study."""
    parser = argparse.ArgumentParser(
        prog="python -m search.picture",
        description="Draw leaderboard and final stage of a study, as they were on the screen.",
    )
    parser.add_argument("study", type=Path, help="its folder, results/<name>")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    arguments = parser.parse_args()
    try:
        draw(arguments.study, arguments.picture)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def draw(study: Path, picture: Path) -> None:
    """Raises ConfigError where there is no study."""
    try:
        manifest = json.loads((study / "manifest.json").read_text())
    except OSError:
        raise ConfigError(f"there is no study in {study}; give the folder of a run, results/<name>") from None
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    rows = leaderboard.rank(study)
    show_leaderboard(console, rows)
    runs = finals.plan(rows, study, SearchConfig(**manifest["resolved"]["space"]["search"]))
    tested = {
        name: result["score"] for opening in manifest["test_opened"] for name, result in opening["results"].items()
    }
    if table := finals.standings(runs, study):
        show_finals(console, finals.with_test(table, runs, tested))
    command = manifest["sessions"][0]["command"]
    console.save_svg(str(picture), title=shlex.join(["python", *command[1:]]))


if __name__ == "__main__":
    sys.exit(main())
