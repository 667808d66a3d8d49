"""How far a study is, in epochs of all its stages together, and how long it will take at its pace."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from lssat.train.result import EpochResult
from search.record.trials import Outcome, TrialRecord
from search.space.epochs import expected, final
from search.space.settings import SearchConfig
from search.strategy.suggestion import Suggestion

REMEMBERED = 2000
"""Epochs of which it is known how long they took."""


class Forecast:
    """Counts epochs, and expects what is left as the scheduler usually decides; each trial that ends corrects it.

    `epochs`: of a whole run. `clock`: in seconds. `backbones`: of the space. `of_baselines`: epochs in which learning
    rates of supervised baselines are expected to be tried.
    """

    def __init__(
        self,
        search: SearchConfig,
        epochs: int,
        clock: Callable[[], float] = time.monotonic,
        backbones: int = 1,
        of_baselines: float = 0.0,
    ) -> None:
        self._search, self._epochs, self._clock = search, epochs, clock
        self._of_baselines, self._of_finals = of_baselines, float(final(search, epochs, backbones))
        self._trials = _Runs()
        self._baselines: _Runs | None = None
        self._finals: _Runs | None = None
        self._is_searching = True
        self._since: dict[str, float] = {}  # name of a run that trains -> when its epoch began
        # Of the last epochs: the seconds of each, and how many runs trained as it ended.
        self._paces: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)

    @property
    def trained(self) -> int:
        """Epochs until now, those of earlier sessions included."""
        return sum(runs.trained for runs in self._stages)

    def begin_search(self, records: Iterable[TrialRecord]) -> None:
        """`records`: of the trials of earlier sessions."""
        self._trials = _Runs(records)

    def end_search(self, records: Iterable[TrialRecord]) -> None:
        """The search trains nothing more: what its trials have is what they will have."""
        self._trials, self._is_searching = _Runs(records), False

    def begin_baselines(self, records: Iterable[TrialRecord]) -> None:
        """The learning rates that baselines are tried with are known."""
        self._baselines = _Runs(records)

    def begin_finals(self, records: Iterable[TrialRecord]) -> None:
        """The runs of the final stage are known."""
        self._finals = _Runs(records)

    def started(self, suggestion: Suggestion) -> None:
        """A run trains from now on."""
        self._since[suggestion.name] = self._clock()

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Count an epoch."""
        self._runs_with(suggestion.name).train(suggestion.name, result.epoch)
        now = self._clock()
        self._paces.append((now - self._since[suggestion.name], len(self._since)))
        self._since[suggestion.name] = now

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Expect nothing more of a run that is over; without an outcome it has only paused."""
        self._since.pop(suggestion.name, None)
        if outcome:
            self._runs_with(suggestion.name).end(suggestion.name)

    def left(self, seconds_of_search: float = math.inf) -> float:
        """Epochs that are to come. `seconds_of_search`: that a budget leaves to it."""
        left = 0.0
        if self._is_searching:
            most = math.inf if self._search.max_epochs is None else float(self._search.max_epochs)
            usual = expected(self._search, self._epochs, self._trials.over, self._trials.begun)
            left = max(0.0, min(usual, most) - self._trials.trained)
        if left and math.isfinite(seconds_of_search) and (pace := self._pace()):
            seconds, num_training = pace
            left = min(left, seconds_of_search * num_training / seconds)
        for runs, expected_of_them in ((self._baselines, self._of_baselines), (self._finals, self._of_finals)):
            left += expected_of_them if runs is None else self._left_of(runs)
        return left

    def seconds_left(self, left: float) -> float | None:
        """Until so many more epochs are trained; None where that is not known yet.

        It is counted down while epochs are trained; one that takes longer than usual is taken for nearly done.
        """
        pace = self._pace()
        if pace is None:
            return None
        seconds, num_training = pace
        under_way = sum(min(self._clock() - began, seconds) for began in list(self._since.values()))
        return max(0.0, left * seconds - under_way) / num_training

    def _left_of(self, runs: _Runs) -> int:
        return sum(num * (self._epochs - epoch) for epoch, num in runs.begun.items())

    def _pace(self) -> tuple[float, float] | None:
        """Seconds of an epoch, and how many are trained at a time, on average of the younger half of this session's
        epochs, the last REMEMBERED at most: backbones differ, and the first epochs wait for processes.
        """
        paces = list(self._paces)
        if len(paces) < 2:
            return None
        recent = paces[len(paces) // 2 :]
        seconds, num_training = (sum(column) / len(recent) for column in zip(*recent, strict=True))
        return seconds, num_training

    @property
    def _stages(self) -> list[_Runs]:
        """Those that are known."""
        return [runs for runs in (self._trials, self._baselines, self._finals) if runs is not None]

    def _runs_with(self, name: str) -> _Runs:
        return next((runs for runs in self._stages if name in runs.epochs), self._trials)


class _Runs:
    """Epochs of runs, by name, and how many have trained how long. A display reads them from a thread of its own."""

    def __init__(self, records: Iterable[TrialRecord] = ()) -> None:
        self.epochs: dict[str, int] = {}
        self.trained = 0
        self._over: set[str] = set()
        self._counts: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}  # over or not -> epochs -> runs
        for record in records:
            self.train(record.name, record.num_epochs)
            if record.outcome:
                self.end(record.name)

    def train(self, name: str, epoch: int) -> None:
        """A run is known, or has come to an epoch."""
        counts = self._counts[name in self._over]
        if name in self.epochs:
            counts[self.epochs[name]] -= 1
        counts[epoch] += 1
        self.trained += epoch - self.epochs.get(name, 0)
        self.epochs[name] = epoch

    def end(self, name: str) -> None:
        """A run is over; it may have failed before its first epoch."""
        if name in self._over:
            return
        epoch = self.epochs.get(name)
        if epoch is None:
            self.train(name, epoch := 0)
        self._counts[False][epoch] -= 1
        self._counts[True][epoch] += 1
        self._over.add(name)

    @property
    def over(self) -> dict[int, int]:
        """After so many epochs -> how many are over."""
        return dict(self._counts[True])

    @property
    def begun(self) -> dict[int, int]:
        """After so many epochs -> how many go on."""
        return dict(self._counts[False])
