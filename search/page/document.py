"""What a report is made of. Sections make these values; `render.py` and `files.py` alone know how they look on disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search.page.charts import Drawn

Cell = str | int | float | None


@dataclass(frozen=True)
class Statement:
    """A sentence that the page claims, with what stands behind it.

    id: of the study and the sentence, the same in every report of the study. test: by which rule it is said. interval:
    of the difference that it speaks of, 95%. margin: below which differences do not matter. data: the table of the
    report, or the file of the run folder, that holds its numbers. command: what to type for it. is_warning: the reader
    must not miss it.
    """

    id: str
    text: str
    test: str = ""
    interval: tuple[float, float] | None = None
    margin: float | None = None
    data: str = ""
    command: str = ""
    is_warning: bool = False

    @property
    def interval_in_words(self) -> str:
        """Both ends, with their signs where it is of a difference, which has a margin."""
        sign = "" if self.margin is None else "+"
        return " to ".join(f"{end:{sign}.4f}" for end in self.interval or ())


@dataclass(frozen=True)
class Table:
    """Rows of cells. name: of its files. best: numbers of the rows that stand out. shown: how many rows the page has,
    the files have all.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    best: Collection[int] = ()
    shown: int = 20

    @property
    def is_number(self) -> list[bool]:
        """Of each column, whether it holds numbers alone, which stand on the right."""
        cells = [[row[place] for row in self.rows] for place in range(len(self.columns))]
        return [all(isinstance(cell, int | float | None) for cell in column) for column in cells]

    def without_alike(self, settings: Collection[str]) -> Table:
        """The table without empty columns, and those of these that are alike in all rows, which the note names."""
        if len(self.rows) < 2:
            return self
        alike = [
            place
            for place, name in enumerate(self.columns)
            if len(alike_cells := {row[place] for row in self.rows}) == 1
            and (name in settings or alike_cells <= {None, ""})
        ]
        said = ", ".join(
            f"{self.columns[place]} {self.rows[0][place]}" for place in alike if self.rows[0][place] not in (None, "")
        )
        kept = [place for place in range(len(self.columns)) if place not in alike]
        return replace(
            self,
            columns=[self.columns[place] for place in kept],
            rows=[[row[place] for place in kept] for row in self.rows],
            note=" ".join(filter(None, [self.note, f"Alike in all rows: {said}." if said else ""])),
        )


@dataclass(frozen=True)
class Chart:
    """A chart of altair's, which is as wide as the page lets it. title: the question that it answers; caption: how to
    read it. name: of its files.
    """

    name: str
    title: str
    chart: Drawn
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture of faces. content: the file, of a type that browsers show. name: of its file. alt: what is on it.
    is_small: several stand beside each other.
    """

    name: str
    title: str
    content: bytes
    alt: str
    caption: str = ""
    suffix: str = "png"
    is_small: bool = False


Block = Statement | Table | Chart | Picture


@dataclass(frozen=True)
class Section:
    """A question with what answers it. id: its anchor. is_folded: whether it is closed until a reader opens it."""

    id: str
    title: str
    blocks: Sequence[Block]
    is_folded: bool = False


@dataclass(frozen=True)
class Part:
    """The sections of one study, or of several together. title: empty where the page has no other part."""

    id: str
    title: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Report:
    """The whole page. about: one line that says of what. facts: (name, value) pairs below it."""

    title: str
    about: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        """All of them in their order."""
        return [block for part in self.parts for section in part.sections for block in section.blocks]


def shown(cell: Any) -> str:
    """A cell in words: four places of a score, no places of a large number, the first digits of a tiny one."""
    if cell is None:
        return ""
    if isinstance(cell, float) and 0 < abs(cell) < 0.001:
        return f"{cell:.2g}"
    if isinstance(cell, float):
        return f"{cell:.4f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
