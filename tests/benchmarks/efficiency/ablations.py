"""What each part of our search is worth: replays with one of them changed. `python -m
tests.benchmarks.efficiency.ablations --grid attributes --seeds 30`.
"""

from __future__ import annotations

import argparse
import functools
import logging
import warnings
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from lssat.train.result import Ended, EpochResult
from search.record.trials import Outcome, Status
from search.space.definition import Space
from search.space.settings import SearchConfig
from search.strategy.known.history import History
from search.strategy.known.scores import last_epoch
from search.strategy.promotion import next_promoted, pauses
from search.strategy.samplers import SAMPLERS
from tests.benchmarks.efficiency.compare import interval, ratio, runs
from tests.benchmarks.efficiency.grids import GRIDS
from tests.benchmarks.efficiency.methods import ours, with_search
from tests.benchmarks.efficiency.replay import Replayed, replay
from tests.benchmarks.efficiency.task import FAMILY, Task, families


class Variation(NamedTuple):
    """Settings of the search, names of our code that stand for something else, and what is fixed beforehand."""

    settings: Mapping[str, Any] = {}
    patches: Mapping[str, Any] = {}
    pins: Mapping[str, Any] = {}


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
    return [{FAMILY: family} for family in next(p.choices for p in space.parameters if p.key == FAMILY)]


def promoted_while_ranks_change(
    history: History, search: SearchConfig, epochs: int, running: Collection[int], waits_for_none: bool
) -> FrozenTrial | None:
    """PASHA (Bohdal et al., arXiv 2207.06940): no trial goes on from the last rung while the trials that have reached
    it stand there in the order that they had one rung below.
    """
    (below, last), trials = pauses(search, epochs)[-2:], history.first(history.num_asked)
    there = [trial.intermediate_values for trial in trials if last in trial.intermediate_values]
    is_stable = sorted(there, key=lambda scores: scores[below]) == sorted(there, key=lambda scores: scores[last])
    held = {trial.number for trial in trials if last_epoch(trial) == last} if is_stable else set()
    return next_promoted(history, search, epochs, {*running, *held}, waits_for_none)


FIRST = "search.strategy.searcher.first_points"
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
    "families first, nothing published": Variation(patches={FIRST: families_alone}),
    "nothing first": Variation(patches={FIRST: lambda space: []}),
    "the full budget only while ranks change (PASHA)": Variation(
        patches={"search.strategy.searcher.next_promoted": promoted_while_ranks_change}
    ),
    "random instead of TPE": Variation({"sampler": "random"}),
    "Gaussian process instead of TPE": Variation({"sampler": "gp"}),
    "TPE, each key by itself": Variation(patches=tpe(multivariate=False, group=False)),
    "TPE, 4 candidates": Variation(patches=tpe(n_ei_candidates=4)),
    "TPE, 100 candidates": Variation(patches=tpe(n_ei_candidates=100)),
}


ORACLES = ("knows the families' order", "knows the best family")


def variation_of(name: str, task: Task) -> Variation:
    """A variation, or an oracle: the first tries the families by the best score that each has, and draws all else as
    ours does; the second never tries another than the best one, and searches all else as ours does.
    """
    if name not in ORACLES:
        return VARIATIONS[name]
    ranked = families(task.curves)
    if name == ORACLES[0]:
        return Variation(patches={FIRST: lambda space: [{FAMILY: family} for family in ranked]})
    return Variation(pins={FAMILY: ranked[0]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=GRIDS, default="attributes")
    parser.add_argument("--without-winner", action="store_true", help="leave out the family of the best cell")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--concurrent", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[*VARIATIONS, *ORACLES], default=list(VARIATIONS))
    arguments = parser.parse_args()
    task = Task(arguments.grid, arguments.without_winner)
    print("| change | median epochs | mean epochs | mean / as it is | failed |\n| --- | --- | --- | --- | --- |")
    first = None
    for name in arguments.only:
        one = functools.partial(run, name, task, arguments.concurrent)
        found = runs(one, range(arguments.seeds), arguments.processes)
        epochs = np.array([one.epochs for one in found], dtype=float)
        first = epochs if first is None else first
        failed = sum(not one.reached for one in found)
        print(
            f"| {name} | {interval(np.median, epochs)} | {interval(np.mean, epochs)} | "
            f"{ratio(np.mean, epochs, first)} | {failed} |",
            flush=True,
        )


def run(name: str, task: Task, concurrent: int, seed: int) -> Replayed:
    """One search of ours with something changed."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    variation = variation_of(name, task)
    with ExitStack() as stack:
        for target, value in variation.patches.items():
            stack.enter_context(patch(target, value))
        space = with_search(task.space(variation.pins), **variation.settings)
        method, scheduler = ours(space, seed)
        return replay(task.curves, method, scheduler, concurrent, budget=task.budget)


if __name__ == "__main__":
    main()
