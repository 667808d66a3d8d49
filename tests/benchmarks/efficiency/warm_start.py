"""What `--from` brings and costs: searches that begin with an earlier study beside those that begin with none, replayed
over seeds. `python -m tests.benchmarks.efficiency.warm_start --grid attributes --seeds 200`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from search.earlier.trials import ranked, taken_over, tried_first
from search.space.definition import EarlierStudy, EarlierTrial, Space
from tests.benchmarks.efficiency.compare import Array, interval
from tests.benchmarks.efficiency.curves import Cell, Curves
from tests.benchmarks.efficiency.grids import GRIDS
from tests.benchmarks.efficiency.methods import Heard, ours, with_search
from tests.benchmarks.efficiency.replay import replay
from tests.benchmarks.efficiency.task import FAMILY, Task, families

Change = Callable[[Curves, np.random.Generator], Curves]
NUM_TRIALS = 30
"""Of an earlier study."""
ONE_FAMILY = ", one family"
"""That of the best cell alone."""
RESAMPLES = 4000


def other_seeds(curves: Curves, rng: np.random.Generator) -> Curves:
    """The same grid with luck of its own at every epoch, by more than the best cells differ (0.0076)."""
    return _with(
        curves, {cell: np.maximum.accumulate(best + rng.normal(0, 0.01, len(best))) for cell, best in _all(curves)}
    )


def shorter(curves: Curves, rng: np.random.Generator) -> Curves:
    """The same, two thirds as long and on another scale, as scores of other data may be."""
    short = _with(curves, {cell: 0.4 * best[: curves.epochs * 2 // 3] for cell, best in _all(curves)})
    return _with(
        short, {cell: np.maximum.accumulate(best + rng.normal(0, 0.004, len(best))) for cell, best in _all(short)}
    )


def unrelated(curves: Curves, rng: np.random.Generator) -> Curves:
    """Every cell has the scores of another."""
    cells = list(curves.best)
    return _with(
        curves,
        {cell: curves.best[cells[other]] for cell, other in zip(cells, rng.permutation(len(cells)), strict=True)},
    )


def opposite(curves: Curves, rng: np.random.Generator) -> Curves:
    """The best cell has the scores of the worst, and so on."""
    del rng
    cells = sorted(curves.best, key=lambda cell: curves.best[cell][-1])
    return _with(curves, {cell: curves.best[other] for cell, other in zip(cells, reversed(cells), strict=True)})


EARLIER: dict[str, Sequence[Change]] = {
    "none": [],
    "the same grid, other seeds": [other_seeds],
    "shorter, on another scale, other seeds": [shorter],
    "unrelated": [unrelated],
    "opposite": [opposite],
    "two unrelated": [unrelated, unrelated],
    "none" + ONE_FAMILY: [],
    "the same grid, other seeds" + ONE_FAMILY: [other_seeds],
    "unrelated" + ONE_FAMILY: [unrelated],
}
"""What a search begins from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=GRIDS, default="attributes")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=EARLIER, default=list(EARLIER))
    arguments = parser.parse_args()
    print("| at a time | begun from | median epochs | mean epochs | mean / begun from none | failed |")
    print("| --- | --- | --- | --- | --- | --- |")
    seeds, task = range(arguments.first, arguments.first + arguments.seeds), Task(arguments.grid)
    for concurrent in arguments.concurrent:
        found = {
            name: needed(name, task, concurrent, seeds, arguments.processes)
            for name in EARLIER
            if name in arguments.only or not EARLIER[name]
        }
        for name in arguments.only:
            own = found["none" + ONE_FAMILY * name.endswith(ONE_FAMILY)]
            print(f"| {concurrent} | {name} | {row(found[name], own, task)} |", flush=True)


def needed(name: str, task: Task, concurrent: int, seeds: Sequence[int], processes: int) -> Array:
    """Epochs to the goal, by seed; what the whole grid costs where it was never reached."""
    with ProcessPoolExecutor(processes) as pool:
        return np.array(list(pool.map(functools.partial(run, name, task, concurrent), seeds)), dtype=float)


def row(epochs: Array, without: Array, task: Task) -> str:
    """Of the table; the interval of the ratio holds 95% of resampled seeds, both searches of a seed together."""
    drawn = np.random.default_rng(0).integers(0, len(epochs), (RESAMPLES, len(epochs)))
    low, high = np.percentile(epochs[drawn].mean(1) / without[drawn].mean(1), [2.5, 97.5])
    ratio = f"{epochs.mean() / without.mean():.2f} ({low:.2f} to {high:.2f})"
    failed = int((epochs >= task.budget).sum())
    return f"{interval(np.median, epochs)} | {interval(np.mean, epochs)} | {ratio} | {failed}"


def run(name: str, task: Task, concurrent: int, seed: int) -> int:
    """Epochs that one search needs."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    curves, space = begins(name, task, seed)
    searcher, scheduler = ours(space, seed)
    return replay(curves, searcher, scheduler, concurrent, budget=task.budget).epochs


@functools.cache
def begins(name: str, task: Task, seed: int) -> tuple[Curves, Space]:
    """What is searched, with the earlier studies that it begins from."""
    curves, pins = task.curves, {}
    if name.endswith(ONE_FAMILY):
        winner, column = families(curves)[0], curves.keys.index(FAMILY)
        pins = {FAMILY: winner}
        curves = _with(curves, {cell: best for cell, best in _all(curves) if cell[column] == winner})
    space = task.space(pins)
    for number, change in enumerate(EARLIER[name]):
        old = change(curves, np.random.default_rng([seed, number]))
        taken = study(old, space, f"old-{number}", 10_000 * (number + 1) + seed)
        space = replace(space, earlier=(*space.earlier, taken))
    return curves, space


def study(old: Curves, space: Space, name: str, seed: int) -> EarlierStudy:
    """What a space takes over of a search of other curves."""
    tried = searched(old, space, seed)
    found = (taken_over(f"{number:04d}", keys, best, old.epochs, space) for number, (keys, best) in enumerate(tried))
    trials = ranked(trial for trial in found if isinstance(trial, EarlierTrial))
    return EarlierStudy(name, "", None, tuple(trials), tried_first(trials, space), {})


def searched(old: Curves, space: Space, seed: int) -> list[tuple[Mapping[str, Any], Sequence[float]]]:
    """Settings and scores of the trials of our search, as far as each came."""
    heard = Heard()
    fixed = {**space.fixed, "optim.epochs": old.epochs}
    begun = replace(with_search(space, num_trials=NUM_TRIALS), fixed=fixed, earlier=())
    searcher, scheduler = ours(begun, seed, heard)
    every = len(old.best) * old.epochs
    replay(old, searcher, scheduler, concurrent=1, budget=every, tolerance=-1)  # no cell is as good as that
    return [(heard.sampled[name], [result.best for result in epochs]) for name, epochs in heard.epochs.items()]


def _all(curves: Curves) -> Iterable[tuple[Cell, Array]]:
    return ((cell, np.array(best)) for cell, best in curves.best.items())


def _with(curves: Curves, best: Mapping[Cell, Any]) -> Curves:
    return replace(curves, best=best)


if __name__ == "__main__":
    main()
