"""The final stage by what was held out: one value may be easy, and another make all arms alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from lssat.text.console import Column, Sheet
from lssat.text.markdown import markdown_table
from search.findings.final_table import FinalRow, complete_runs
from search.record.folder import RunFolder
from search.strategy.finalists import FinalRun, rotation_of

TITLE = "Scores by what was held out: of each value the mean over seeds"


@dataclass(frozen=True)
class ByFold:
    """Of the arms the scores without one value after the other. arms: name and backbone. means: of each arm that of
    each of the `values`, and seeds: over how many; runs that failed have no score.
    """

    values: Sequence[str]
    arms: Sequence[tuple[str, str]]
    means: Sequence[Sequence[float | None]]
    seeds: Sequence[Sequence[int]]

    @property
    def columns(self) -> list[str]:
        """What stands above the `rows`."""
        return ["arm", "backbone", "seeds", *(f"without {value}" for value in self.values)]

    @property
    def rows(self) -> Iterator[list[str | int | float | None]]:
        """One of each arm; its seeds are a number where there are as many of each value."""
        for arm, means, seeds in zip(self.arms, self.means, self.seeds, strict=True):
            number = seeds[0] if len({*seeds}) == 1 else ", ".join(map(str, seeds))
            yield [*arm, number, *means]

    @property
    def cells(self) -> list[list[str]]:
        """The rows in words."""
        return [["" if cell is None else _in_words(cell) for cell in row] for row in self.rows]

    @property
    def markdown(self) -> str:
        """The table as a part of a page."""
        return f"\n{TITLE}\n\n{markdown_table(self.columns, self.cells)}"

    def sheet(self, elsewhere: str) -> Sheet:
        """The table for the screen. elsewhere: the file that has it whole."""
        found = zip(self.columns, zip(*self.cells, strict=True), strict=True)
        columns = [
            Column(name, 0 if place < 2 else 1, cells, "left" if place < 2 else "right")
            for place, (name, cells) in enumerate(found)
        ]
        return Sheet(TITLE, columns, [""] * len(self.arms), elsewhere)


def by_fold(folder: RunFolder, runs: Sequence[FinalRun], table: Sequence[FinalRow]) -> ByFold | None:
    """Of the arms of the final table, in its order; None where nothing is held out one after the other."""
    rotation = rotation_of(runs)
    if rotation is None or not table:
        return None
    scores: dict[tuple[str, str], list[float]] = {}
    results = complete_runs(folder, runs)
    for run in runs:
        if run.fold and run.name in results:
            scores.setdefault((run.arm.name, run.fold.value), []).append(results[run.name].best)
    found = [[scores.get((row.arm, value), []) for value in rotation.values] for row in table]
    return ByFold(
        rotation.values,
        [(row.arm, row.backbone) for row in table],
        [[fmean(each) if each else None for each in of_arm] for of_arm in found],
        [[len(each) for each in of_arm] for of_arm in found],
    )


def _in_words(cell: str | float) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
