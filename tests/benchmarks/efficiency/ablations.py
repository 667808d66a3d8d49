"""What each part of our search is worth: replays with one of them changed. `python -m
tests.benchmarks.efficiency.ablations --seeds 30`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from optuna.samplers import TPESampler

from lssat.train.result import Ended, EpochResult
from search.record.trials import Outcome, Status
from search.space.definition import Space
from search.space.settings import SearchConfig
from search.strategy.samplers import SAMPLERS
from tests.benchmarks.efficiency.compare import CURVES, interval, ratio, replay_space
from tests.benchmarks.efficiency.curves import read
from tests.benchmarks.efficiency.methods import ours, with_search
from tests.benchmarks.efficiency.replay import Replayed, replay


class Variation(NamedTuple):
    """Settings of the search, and names of our code that stand for something else."""

    settings: Mapping[str, Any] = {}
    patches: Mapping[str, Any] = {}


def tpe(**settings: Any) -> dict[str, Any]:
    """Our sampler with other settings."""

    def build(search: SearchConfig, seed: int) -> TPESampler:
        return TPESampler(
            **{
                "seed": seed,
                "multivariate": True,
                "group": True,
                "constant_liar": True,
                "n_startup_trials": search.startup_trials,
            }
            | settings
        )

    return {"search.strategy.samplers.SAMPLERS": {**SAMPLERS, "tpe": build}}


def complete_whatever(search: SearchConfig, last: EpochResult | Ended | None, died: bool) -> Outcome:
    """What Ray's OptunaSearch says of a trial that was stopped."""
    return Outcome(Status.COMPLETE if isinstance(last, EpochResult) else Status.FAILED)


def families_alone(space: Space) -> list[dict[str, Any]]:
    """Every family once, all else drawn."""
    return [
        {"backbone.family": family}
        for family in next(p.choices for p in space.parameters if p.key == "backbone.family")
    ]


VARIATIONS = {
    "as it is": Variation(),
    "asha (stopped for good) instead of promotion": Variation({"scheduler": "asha"}),
    "the same, and the sampler sees states": Variation(
        {"scheduler": "asha"}, {"search.strategy.next_point.comparable": lambda trials, enough: trials}
    ),
    "the same, and repeats are run": Variation(
        {"scheduler": "asha"},
        {
            "search.strategy.next_point.comparable": lambda trials, enough: trials,
            "search.strategy.next_point.is_new": lambda *_: True,
        },
    ),
    "the same, grace_epochs 2 and startup_trials 8 (all as it was before)": Variation(
        {"scheduler": "asha", "grace_epochs": 2, "startup_trials": 8},
        {
            "search.strategy.next_point.comparable": lambda trials, enough: trials,
            "search.strategy.next_point.is_new": lambda *_: True,
        },
    ),
    "asha, states, repeats, and stopped trials are told as complete": Variation(
        {"scheduler": "asha"},
        {
            "search.strategy.next_point.comparable": lambda trials, enough: trials,
            "search.strategy.next_point.is_new": lambda *_: True,
            "search.study.tune_adaptor.outcome_of": complete_whatever,
        },
    ),
    "promotion, and the sampler sees states": Variation(
        patches={"search.strategy.next_point.comparable": lambda trials, enough: trials}
    ),
    "no scheduler": Variation({"scheduler": "none"}),
    "grace_epochs 2": Variation({"grace_epochs": 2}),
    "reduction_factor 2": Variation({"reduction_factor": 2}),
    "reduction_factor 4": Variation({"reduction_factor": 4}),
    "startup_trials 2": Variation({"startup_trials": 2}),
    "startup_trials 8": Variation({"startup_trials": 8}),
    "startup_trials 12": Variation({"startup_trials": 12}),
    "repeats are run": Variation(patches={"search.strategy.next_point.is_new": lambda *_: True}),
    "families first, nothing published": Variation(patches={"search.strategy.searcher.first_points": families_alone}),
    "nothing first": Variation(patches={"search.strategy.searcher.first_points": lambda space: []}),
    "random instead of TPE": Variation({"sampler": "random"}),
    "Gaussian process instead of TPE": Variation({"sampler": "gp"}),
    "TPE, each key by itself": Variation(patches=tpe(multivariate=False, group=False)),
    "TPE, 4 candidates": Variation(patches=tpe(n_ei_candidates=4)),
    "TPE, 100 candidates": Variation(patches=tpe(n_ei_candidates=100)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=VARIATIONS, default=list(VARIATIONS))
    arguments = parser.parse_args()
    print("| change | median epochs | mean epochs | mean / as it is | failed |\n| --- | --- | --- | --- | --- |")
    first = None
    for name in arguments.only:
        found = runs(name, range(arguments.seeds), arguments.concurrent, arguments.processes)
        epochs = np.array([one.epochs for one in found], dtype=float)
        first = epochs if first is None else first
        failed = sum(not one.reached for one in found)
        print(
            f"| {name} | {interval(np.median, epochs)} | {interval(np.mean, epochs)} | "
            f"{ratio(np.mean, epochs, first)} | {failed} |",
            flush=True,
        )


def runs(name: str, seeds: Sequence[int], concurrent: int, processes: int) -> list[Replayed]:
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(functools.partial(run, name, concurrent), seeds))


def run(name: str, concurrent: int, seed: int) -> Replayed:
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    curves, variation = read(CURVES), VARIATIONS[name]
    with ExitStack() as stack:
        for target, value in variation.patches.items():
            stack.enter_context(patch(target, value))
        method, scheduler = ours(with_search(replay_space(), **variation.settings), seed)
        return replay(curves, method, scheduler, concurrent, budget=len(curves.best) * curves.epochs)


if __name__ == "__main__":
    main()
