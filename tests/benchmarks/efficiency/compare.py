"""Replay the searches over seeds and print the table: `python -m tests.benchmarks.efficiency.compare --grid attributes
--seeds 30`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.efficiency.grids import GRIDS
from tests.benchmarks.efficiency.methods import METHODS
from tests.benchmarks.efficiency.replay import Replayed, replay
from tests.benchmarks.efficiency.task import Task

RESAMPLES = 4000
BASELINES = ("random + ASHA", "OptunaSearch + ASHA")
Array = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=GRIDS, default="attributes")
    parser.add_argument("--without-winner", action="store_true", help="leave out the family of the best cell")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        help="how close to the best cell is good enough, as a share of its score",
    )
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    task = Task(arguments.grid, arguments.without_winner)
    curves = task.curves
    good = len(curves.good(arguments.tolerance))
    print(
        f"{task.title}: {len(curves.best)} cells of {curves.epochs} epochs, best {curves.top:.4f}, {good} within "
        f"{arguments.tolerance:.1%}"
    )
    for concurrent in arguments.concurrent:
        costs = {
            name: runs(
                functools.partial(run, name, task, concurrent, arguments.tolerance),
                range(arguments.seeds),
                arguments.processes,
            )
            for name in METHODS
        }
        print(f"\n{concurrent} at a time\n\n" + table(costs))


def runs(one: Callable[[int], Replayed], seeds: Sequence[int], processes: int) -> list[Replayed]:
    """One replay per seed."""
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(one, seeds))


def run(method: str, task: Task, concurrent: int, tolerance: float, seed: int) -> Replayed:
    """One search; one that has spent what the whole grid costs has failed."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    searcher, scheduler = METHODS[method](task.space(), seed)
    return replay(task.curves, searcher, scheduler, concurrent, budget=task.budget, tolerance=tolerance)


def table(costs: Mapping[str, Sequence[Replayed]]) -> str:
    """Markdown: epochs to the target, with 95% intervals (bootstrap over seeds), and their ratios to the baselines."""
    epochs = {name: np.array([one.epochs for one in found], dtype=float) for name, found in costs.items()}
    titles = [
        "search",
        "median epochs",
        "mean epochs",
        *(f"median / {name}" for name in BASELINES),
        *(f"mean / {name}" for name in BASELINES),
        "failed",
        "repeated",
    ]
    lines = [titles, ["---"] * len(titles)]
    for name, found in costs.items():
        failed, repeated = sum(not one.reached for one in found), np.mean([one.repeated / one.trials for one in found])
        ratios = [
            ratio(summary, epochs[name], epochs[other]) for summary in (np.median, np.mean) for other in BASELINES
        ]
        lines.append(
            [
                name,
                interval(np.median, epochs[name]),
                interval(np.mean, epochs[name]),
                *ratios,
                f"{failed} of {len(found)}",
                f"{repeated:.0%}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(summary: Callable[..., Any], values: Array) -> str:
    low, high = np.percentile(summary(_resampled(values, 0), axis=1), [2.5, 97.5])
    return f"{summary(values):.0f} ({low:.0f} to {high:.0f})"


def ratio(summary: Callable[..., Any], values: Array, baseline: Array) -> str:
    low, high = np.percentile(
        summary(_resampled(values, 0), axis=1) / summary(_resampled(baseline, 1), axis=1), [2.5, 97.5]
    )
    return f"{summary(values) / summary(baseline):.2f} ({low:.2f} to {high:.2f})"


def _resampled(values: Array, seed: int) -> Array:
    return np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))


if __name__ == "__main__":
    main()
