"""`--hours`: when a session has to be over, and what is left after the search will take at the pace of its trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lssat.model import catalog
from lssat.train.result import EpochResult
from search.record.trials import Outcome, TrialRecord
from search.space.settings import SearchConfig
from search.strategy.finalists import group_of
from search.strategy.suggestion import Suggestion

MARGIN = 1.2
"""How much more than measured the rest may take: start-up of processes, scoring of test, a machine that slows down."""
FEWEST_SEEDS = 2


@dataclass(frozen=True)
class _Trained:
    """What is known of a trial."""

    epochs: int
    best: float
    seconds: float
    backbone: str

    @property
    def pace(self) -> float:
        """Seconds of an epoch."""
        return self.seconds / self.epochs


class Deadline:
    """Ends the search when the rest of the time is needed for the final stage; never, where `search.hours` is None.

    `epochs`: of a whole trial. `began`: the session, by `time.monotonic`. `num_rates`: learning rates that there are
    for a supervised baseline, 1 where none is tuned. `folds`: values that the final stage holds out one after the
    other. Trials side by side count as they were seen.
    """

    def __init__(self, search: SearchConfig, epochs: int, began: float, num_rates: float = 1, folds: int = 1) -> None:
        self._search, self._folds = search, folds
        self._num_rates = num_rates
        self._epochs = epochs
        self._end = math.inf if search.hours is None else began + 3600 * search.hours
        self._seconds: Callable[[str], float] = lambda name: 0.0
        self._trained: dict[str, _Trained] = {}
        self._running: set[str] = set()
        self._num_concurrent = 1

    def watch(self, records: Iterable[TrialRecord], seconds: Callable[[str], float]) -> None:
        """What trials have trained in earlier sessions, and how many `seconds` one has trained now, by its name."""
        self._seconds = seconds
        for record in records if self._is_set else ():
            if last := record.last:
                backbone = catalog.architecture(record.config.backbone)
                self._trained[record.name] = _Trained(last.epoch, last.best, record.seconds, backbone)

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """A trial has finished an epoch."""
        if not self._is_set:
            return
        name = suggestion.name
        backbone = catalog.architecture(suggestion.config.backbone)
        self._trained[name] = _Trained(result.epoch, result.best, self._seconds(name), backbone)
        self._running.add(name)
        self._num_concurrent = max(self._num_concurrent, len(self._running))

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """A trial is over, or has paused."""
        self._running.discard(suggestion.name)

    @property
    def _is_set(self) -> bool:
        return math.isfinite(self._end)

    @property
    def seconds_left(self) -> float:
        """Until the session has to be over."""
        return self._end - time.monotonic()

    def closes(self) -> bool:
        """Whether no new trial begins: the time is needed to bring the best to their last epoch, and for the final
        stage.
        """
        if not self._is_set:
            return False
        best = self._best()
        bringing_home = self._cost(self._finalists(best) or best[:1])
        return self.seconds_left < MARGIN * (bringing_home + self._cost(self._final(best)))

    def is_over(self) -> bool:
        """Whether all trials end where they are. The final stage has its time only where a trial is whole by now."""
        if not self._is_set:
            return False
        best = self._best()
        is_any_whole = any(self._trained[name].epochs >= self._epochs for name in best)
        return self.seconds_left < MARGIN * (self._cost(self._final(best)) if is_any_whole else 0.0)

    def cut(self, trials_of: Callable[[SearchConfig], Sequence[str]]) -> SearchConfig:
        """The settings with as many finalists, and then seeds, as there is time for; 0 finalists where for none.

        `trials_of`: from which trials the runs are that these settings would still have to train, baselines included.
        """
        for finalists in range(self._search.finalists, 0, -1):
            for seeds in range(self._search.final_seeds, FEWEST_SEEDS - 1, -1):
                settings = self._search.model_copy(update={"finalists": finalists, "final_seeds": seeds})
                if MARGIN * self._cost(trials_of(settings)) <= self.seconds_left:
                    return settings
        return self._search.model_copy(update={"finalists": 0})

    def _best(self) -> list[str]:
        """The trials that came farthest, of those the best first."""
        return sorted(self._trained, key=lambda name: (-self._trained[name].epochs, -self._trained[name].best))

    def _final(self, best: Sequence[str]) -> list[str]:
        """The trial of each run after the search, as it would be now: each beside its supervised baseline, where these
        are wanted, which is tried first with as many learning rates as there are whole trials of its backbone.
        """
        chosen = self._finalists(best)
        whole = {*chosen, *(name for name in best if self._trained[name].epochs >= self._epochs)}
        runs = chosen * (1 + (self._search.supervised != "none")) * self._search.final_seeds * self._folds
        for name in chosen:
            alike = sum(self._trained[other].backbone == self._trained[name].backbone for other in whole)
            number = int(min(alike, self._num_rates))
            runs += [name] * number if number > 1 else []
        return runs

    def _finalists(self, best: Sequence[str]) -> list[str]:
        groups: dict[str, list[str]] = {}
        for name in best:
            groups.setdefault(self._group(name), []).append(name)
        return [name for group in groups.values() for name in group[: self._search.finalists]]

    def _group(self, name: str) -> str:
        return group_of(self._trained[name].backbone, self._search)

    def _cost(self, trials: Sequence[str]) -> float:
        """Seconds on the clock for a whole run of each of these trials' configurations."""
        paces = [self._trained[name].pace for name in trials if name in self._trained]
        if not paces:
            return 0.0
        rounds = math.ceil(len(trials) / self._num_concurrent)
        return rounds * self._epochs * sum(paces) / len(paces)
