"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lssat.text.visible import visible


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table whose columns named in `right` are aligned to the right. Bars and line ends in cells are escaped."""
    rules = ["--:" if name in right else "---" for name in header]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in [header, rules, *rows])


def _cell(text: str) -> str:
    return visible(text).replace("|", "\\|").replace("\n", " ")
