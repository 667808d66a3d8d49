"""Writes docs/faults.md: python -m tests.faults.page FOLDER. FOLDER: what the tests wrote of the faults they injected.

A test that was skipped or not run leaves nothing there; its row of the page before is gone, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WIDTH = 120
BOX = "┏┃┡│└"  # the leaderboard, which is wider than a page
HEAD = """# Faults

What happens to a study when something breaks, measured: `make faults` injects each fault by the command that is shown
and writes this page. A row is there because its test passed: every trial was accounted for, and what was on record
stayed there. *Seconds* are those until the next epoch was on record, or until the command had ended where it ends.
[cluster.md](cluster.md) says what to do where somebody has to do something.

| fault | injected by | lost | seconds | to be done | test |
| --- | --- | --- | --- | --- | --- |
"""


def page(folder: Path) -> str:
    """The page, in Markdown."""
    rows = sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=lambda row: row["fault"])
    text = HEAD + "".join(_row(row) for row in rows)
    transcript = folder / "transcript.txt"
    if transcript.exists():
        text += "\n## Three machines, one drained, one killed, one joined\n\n"
        text += "Machines of one's own network each, in namespaces of one computer (`tests/faults/hosts.py`). `$` is\n"
        text += "what was typed, the rest what the search said.\n\n"
        lines = [line for line in transcript.read_text().splitlines() if not set(line) & set(BOX)]
        lines = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]
        text += "\n".join(["```text", *lines, "```", ""])
    return text


def _row(row: dict) -> str:
    seconds = "-" if row["seconds"] is None else f"{row['seconds']:.0f}"
    test = row["test"].partition("::")[0]
    cells = [row["fault"], f"`{row['how']}`", row["lost"], seconds, row["after"], f"[test](../{test})"]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parents[2] / "docs" / "faults.md").write_text(page(Path(sys.argv[1])))
