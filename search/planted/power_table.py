"""The part of docs/claims.md on which difference is seen: the default of `search.final_seeds` is taken from it."""

from __future__ import annotations

import sys

from lssat.text.markdown import markdown_table
from search.claims.power import smallest_gap
from search.planted.cells import SEED
from search.planted.power import named_gap
from search.planted.studies import Plant

PROSE = """\

## Which difference is seen

By how much the best arm must be ahead of all others so that a named one of them is called worse in 80% of {studies}
planted studies, in points of the score; in brackets, in standard deviations of a run's own luck (0.01). Columns: so
many validation units; `reckoned`: what `--plan` says beforehand (`search/claims/power.py`) of 1000 units.

{table}
The cost grows with the number of seeds. A third seed is worth it: half more cost, and what is seen shrinks by a quarter
or more. From 3 to 5 two thirds more cost buy a fifth with 1000 units (a seventh with 300, a quarter with 4000: what the
choice of units does no seed makes smaller), from 5 to 10 twice the cost buys a fifth. An arm that spreads more than the
others is told from luck from 5 seeds on, too (its false claims above). So `search.final_seeds` is 5 by default.
"""
SEEDS = (2, 3, 4, 5, 7, 10)
UNITS = (300, 1000, 4000)


def power_table(studies: int) -> str:
    """Markdown."""
    rows = []
    for arms in (4, 8):
        print(f"which difference {arms} arms show", file=sys.stderr)
        for seeds in SEEDS:
            gaps = [named_gap(Plant(arms, seeds, units), studies, SEED) for units in UNITS]
            cells = [f"{gap:.3f} ({gap / Plant().luck[0]:.1f})" for gap in gaps]
            rows.append([f"{arms} arms, {seeds} seeds", *cells, f"{smallest_gap(arms, seeds, 1000):.3f}"])
    header = ("study", *(f"{units} units" for units in UNITS), "reckoned")
    return PROSE.format(studies=studies, table=markdown_table(header, rows, header[1:]))
