"""Replay the searches on every grid and write the page: `python -m tests.benchmarks.efficiency.report --seeds 60
--output docs/search-efficiency.md`.

What was replayed is kept in a ledger, so that an interrupted report goes on; a change of the search needs a new one.
"""

from __future__ import annotations

import argparse
import csv
import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks.efficiency import ablations, compare
from tests.benchmarks.efficiency.compare import Array, interval, ratio
from tests.benchmarks.efficiency.grids import CHOOSING, GRIDS
from tests.benchmarks.efficiency.methods import METHODS, with_search
from tests.benchmarks.efficiency.replay import replay
from tests.benchmarks.efficiency.task import Task, families

OURS = "ours"
RANDOM, STOCK = compare.BASELINES
IDEAS = ("families first, nothing published", "the full budget only while ranks change (PASHA)")
GRACE = "grace_epochs 2"
LATER = {f"{name}, {GRACE}": METHODS[name] for name in compare.BASELINES}
RUNGS = (GRACE, *LATER)
CONCURRENT = (1, 2, 8)
TOLERANCE = 0.01


class Run(NamedTuple):
    """One replay of the report."""

    grid: str
    without_winner: bool
    search: str
    concurrent: int
    seed: int


class Cost(NamedTuple):
    """What it came to."""

    reached: bool
    epochs: int


Ledger = dict[Run, Cost]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", nargs="+", choices=GRIDS, default=list(GRIDS), help="the grids to replay now")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--ledger", type=Path, default=Path("results/replays.csv"))
    parser.add_argument("--output", type=Path, help="the page to write")
    arguments = parser.parse_args()
    ledger = read(arguments.ledger)
    missing = [run for run in planned(arguments.grid, arguments.seeds) if run not in ledger]
    print(f"{len(missing)} replays", flush=True)
    arguments.ledger.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes) as pool, arguments.ledger.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for run, cost in zip(missing, pool.map(replayed, missing), strict=True):
            ledger[run] = cost
            writer.writerow([*run, *cost])
            file.flush()
    page = "\n\n".join(sections(ledger, arguments.grid, arguments.seeds)) + "\n"
    if arguments.output:
        arguments.output.write_text(page)
    print(page)


def planned(grids: Iterable[str], seeds: int) -> list[Run]:
    """The replays of a report; a grid on which nothing is chosen has no ideas."""
    runs = []
    for grid in grids:
        for without in (False, True):
            ideas = IDEAS if grid in CHOOSING and not without else ()
            oracles = () if without else (*ablations.ORACLES, *RUNGS)
            for search in (OURS, RANDOM, STOCK, *ideas, *oracles):
                runs += [Run(grid, without, search, n, seed) for n in CONCURRENT for seed in range(seeds)]
    return sorted(runs, key=lambda run: (run.without_winner, run.seed))


def replayed(run: Run) -> Cost:
    """Replay one."""
    task = Task(run.grid, run.without_winner)
    if run.search in LATER:
        searcher, scheduler = LATER[run.search](with_search(task.space(), grace_epochs=2), run.seed)
        found = replay(task.curves, searcher, scheduler, run.concurrent, task.budget, TOLERANCE)
    elif run.search in METHODS:
        found = compare.run(run.search, task, run.concurrent, TOLERANCE, run.seed)
    else:
        found = ablations.run(run.search, task, run.concurrent, run.seed)
    return Cost(found.reached, found.epochs)


def read(path: Path) -> Ledger:
    """What was replayed already."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {
            Run(grid, without == "True", search, int(concurrent), int(seed)): Cost(reached == "True", int(epochs))
            for grid, without, search, concurrent, seed, reached, epochs in csv.reader(file)
        }


def sections(ledger: Ledger, grids: Sequence[str], seeds: int) -> list[str]:
    """The page."""
    select = functools.partial(_select, ledger, seeds)
    tasks = [Task(grid, without) for without in (False, True) for grid in grids]
    found = [
        "# Search efficiency\n\n<!-- Written by `python -m tests.benchmarks.efficiency.report`. -->",
        f"Epochs until a trial within {TOLERANCE:.0%} of a grid's best has had its full budget, those of all trials "
        "together, or the\nprice of the whole grid where a search ended without one; "
        f"seeds 0 to {seeds - 1}, 95% bootstrap intervals over seeds.\n[results.md](results.md#on-other-grids) says "
        "what the grids are, how they are replayed and what follows.",
        "## The grids\n\n" + _grids(tasks),
        "## Ours beside the others",
    ]
    for task in tasks:
        found.append(f"### {task.title}\n\n" + _compared(functools.partial(select, task)))
    found.append("## What an oracle needs\n\n" + _changed(select, grids, ablations.ORACLES))
    found.append("## A first rung after two epochs\n\n" + _changed(select, grids, RUNGS))
    chosen = [grid for grid in grids if grid in CHOOSING]
    if chosen:
        found.append("## Ideas, on the grids that may choose\n\n" + _changed(select, chosen, IDEAS))
    return found


def _select(ledger: Ledger, seeds: int, task: Task, search: str, concurrent: int) -> tuple[Array, int]:
    """Epochs by seed, and how many never arrived."""
    costs = [ledger[Run(*task, search, concurrent, seed)] for seed in range(seeds)]
    return np.array([cost.epochs for cost in costs], dtype=float), sum(not cost.reached for cost in costs)


def _grids(tasks: Sequence[Task]) -> str:
    rows = []
    for task in tasks:
        curves = task.curves
        last = [best[-1] for best in curves.best.values()]
        spread = f"{min(last):.3f} to {max(last):.3f}"
        good = str(len(curves.good(TOLERANCE)))
        ranked = ", ".join(families(curves))
        rows.append([task.title, str(len(last)), str(curves.epochs), spread, good, ranked])
    return _table(["grid", "cells", "epochs", "scores", "good cells", "families, the best first"], rows)


def _compared(select: Callable[..., tuple[Array, int]]) -> str:
    titles = ["at a time", "search", "median", "mean", "mean / random + ASHA", "mean / OptunaSearch + ASHA", "failed"]
    rows = []
    for concurrent in CONCURRENT:
        others = [select(name, concurrent)[0] for name in (RANDOM, STOCK)]
        for search in (OURS, RANDOM, STOCK):
            epochs, failed = select(search, concurrent)
            summaries = [interval(np.median, epochs), interval(np.mean, epochs)]
            ratios = [ratio(np.mean, epochs, other) for other in others]
            rows.append([str(concurrent), search, *summaries, *ratios, f"{failed} of {len(epochs)}"])
    return _table(titles, rows)


def _changed(select: Callable[..., tuple[Array, int]], grids: Sequence[str], searches: Sequence[str]) -> str:
    titles = ["grid", "at a time", "search", "median", "mean", "mean / ours", "failed"]
    rows = []
    for grid in grids:
        for concurrent in CONCURRENT:
            ours, _ = select(Task(grid), OURS, concurrent)
            for search in searches:
                epochs, failed = select(Task(grid), search, concurrent)
                summaries = [interval(np.median, epochs), interval(np.mean, epochs), ratio(np.mean, epochs, ours)]
                rows.append([grid, str(concurrent), search, *summaries, f"{failed} of {len(epochs)}"])
    return _table(titles, rows)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
