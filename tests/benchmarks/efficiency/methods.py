"""The searches that are compared: each is a searcher and a scheduler, new for every seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from lssat.train.result import BEST, EpochResult
from search.record.trials import Outcome
from search.space.definition import Space
from search.strategy.schedulers import scheduler
from search.strategy.searcher import OptunaSearcher, create_study
from search.strategy.suggestion import Suggestion
from search.study.tune_adaptor import Adaptor, Participants

Method = Callable[[Space, int], tuple[Searcher, TrialScheduler]]
"""(space, seed) -> what searches it."""


def ours(space: Space, seed: int, heard: Heard | None = None) -> tuple[Searcher, TrialScheduler]:
    """The search of this project, its study in memory."""
    seeded, heard = with_search(space, seed=seed), heard or Heard()
    study = create_study(optuna.storages.InMemoryStorage(), "replay", seeded)
    searcher = OptunaSearcher(study, seeded)
    participants = Participants(searcher, scheduler(seeded.search, epochs(space)), [heard, searcher])
    adaptor = Adaptor(seeded.search, participants, heard.record_of)
    return adaptor.tune_searcher, adaptor.tune_scheduler


class Heard:
    """What is on record of the trials of a replay, which nothing interrupts: in memory, by name."""

    def __init__(self) -> None:
        self.epochs: dict[str, list[EpochResult]] = defaultdict(list)
        self.sampled: dict[str, Mapping[str, Any]] = {}

    def record_of(self, name: str) -> Any:
        return SimpleNamespace(epochs=self.epochs[name])

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        self.sampled[suggestion.name] = suggestion.sampled
        self.epochs[suggestion.name].append(result)

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Nothing follows from it."""


def stock(space: Space, seed: int) -> tuple[Searcher, TrialScheduler]:
    """Ray's OptunaSearch with Ray's ASHA: stopped trials are told as complete, with their early value."""
    return _optuna_search(space, TPESampler(seed=seed)), _asha(space)


def random(space: Space, seed: int) -> tuple[Searcher, TrialScheduler]:
    """Random draws with Ray's ASHA."""
    return _optuna_search(space, RandomSampler(seed=seed)), _asha(space)


def plain(space: Space, seed: int) -> tuple[Searcher, TrialScheduler]:
    """Optuna's TPE as it comes, every trial to its last epoch."""
    return _optuna_search(space, TPESampler(seed=seed)), FIFOScheduler()


METHODS: dict[str, Method] = {
    "ours": ours,
    "OptunaSearch + ASHA": stock,
    "random + ASHA": random,
    "TPE, no scheduler": plain,
}


def with_search(space: Space, **settings: Any) -> Space:
    """The space with other settings of the search."""
    return replace(space, search=space.search.model_copy(update=settings))


def epochs(space: Space) -> int:
    """The full budget of a trial."""
    return int(space.fixed["optim.epochs"])


def _optuna_search(space: Space, sampler: BaseSampler) -> Searcher:
    return OptunaSearch(space.sample, metric=BEST, mode="max", sampler=sampler)


def _asha(space: Space) -> TrialScheduler:
    """Ray's, with the settings of the space, so that all methods stop by the same rule."""
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric=BEST,
        mode="max",
        max_t=epochs(space),
        grace_period=space.search.grace_epochs,
        reduction_factor=space.search.reduction_factor,
    )
