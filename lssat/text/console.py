"""A console that shows text as it is, and tables that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lssat.text.visible import visible


class SafeConsole(Console):
    """Neither markup nor control characters in text are obeyed, since much of it comes from outside."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text on its way to the screen, cells of tables included."""
        return super().render_str(visible(text), **options)


@dataclass(frozen=True)
class Column:
    """One column of a `Sheet`, with its cells. `priority` 0 is shown on every screen; of the others, those of a low
    number are given room first.
    """

    name: str
    priority: int
    cells: Sequence[str]
    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Sheet:
    """A table for screens of any width. `styles`: of each row; `elsewhere`: where all columns are to be found."""

    title: str
    columns: Sequence[Column]
    styles: Sequence[str]
    elsewhere: str

    def width(self, console: Console) -> int:
        """Of the whole table, in columns of the screen."""
        return _width(self._table(self.columns), console)

    def show(self, console: Console) -> None:
        """Show the columns that the screen has room for, and name the others."""
        shown = self._that_fit(console)
        console.print(self._table(shown))
        if left_out := [column.name for column in self.columns if column not in shown]:
            console.print(f"  no room for {', '.join(left_out)}: see {self.elsewhere}", style="dim")

    def _that_fit(self, console: Console) -> list[Column]:
        """A wide column without room does not keep a narrower one of less priority away."""
        shown = {column.name for column in self.columns if column.priority == 0}
        for column in sorted(self.columns, key=lambda column: column.priority):
            wider = {*shown, column.name}
            if _width(self._table([each for each in self.columns if each.name in wider]), console) <= console.width:
                shown = wider
        return [column for column in self.columns if column.name in shown]

    def _table(self, columns: Sequence[Column]) -> Table:
        table = Table(title=self.title or None, title_justify="left", header_style="bold")
        for column in columns:
            # Words that are always shown are folded on a screen that even they are too wide for; numbers never are.
            folds = column.priority == 0 and column.justify == "left"
            header = column.name.replace(".", ".\n")
            table.add_column(header, justify=column.justify, no_wrap=not folds, overflow="fold")
        for style, cells in zip(self.styles, zip(*(column.cells for column in columns), strict=True), strict=True):
            table.add_row(*cells, style=style)
        return table


def _width(table: Table, console: Console) -> int:
    unlimited = console.options.update(max_width=1_000_000)
    return Measurement.get(console, unlimited, table).maximum
