"""What has become of the trials of a study, kept up while it is searched: each that is over is read once."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import FrozenTrial, TrialState

from search.space.settings import SearchConfig
from search.strategy.budget import Patience
from search.strategy.known.scores import last_epoch, score_at

MOST = 500
"""How many of the best trials a sampler is shown, and how many of the newest others."""

Place = tuple[float, int]
"""Where a trial stands among others, the larger the better: its score, and minus its number, since of equals the first
is better.
"""


class History:
    """The trials of a study, as whoever suggests needs them; `refresh` reads what has become of those that are alive.

    A trial that is alive runs, or has paused, which it does at the epochs `pauses`. Of those that are over little is
    looked at again, so that a suggestion costs what is alive. All of it follows from the study alone: it is the same
    after a kill.
    """

    def __init__(self, study: optuna.Study, search: SearchConfig, pauses: Sequence[int]) -> None:
        self._study = study
        self._enough = search.startup_trials
        self._pauses = pauses
        self._patience = Patience(search)
        self._trials: list[FrozenTrial] = []
        self._unfinished: list[int] = []
        self._over: list[int] = []  # ascending
        self._tried: set[str] = set()
        self._farthest: list[int] = []  # last epochs of those that are over, the largest
        self._at_rungs: dict[int, list[Place]] = {rung: [] for rung in self._pauses}  # of those over, ascending
        self._best: list[Place] = []  # of those over, at the epoch below
        self._best_at = 0
        self.refresh()

    def refresh(self) -> None:
        """Read what has become of trials."""
        trials = self._study.get_trials(deepcopy=False)
        watched = [*self._unfinished, *range(len(self._trials), len(trials))]
        self._trials = trials
        self._unfinished = [number for number in watched if not trials[number].state.is_finished()]
        ended = [trials[number] for number in watched if trials[number].state.is_finished()]
        for trial in sorted(ended, key=attrgetter("datetime_complete", "number")):
            self._end(trial)

    @property
    def alive(self) -> list[FrozenTrial]:
        """Those that run or have paused, by number."""
        found = (self._trials[number] for number in self._unfinished)
        return [trial for trial in found if trial.state == TrialState.RUNNING]

    @property
    def num_asked(self) -> int:
        """Trials that were asked for, whatever became of them."""
        return len(self._trials) - sum(self._trials[number].state == TrialState.WAITING for number in self._unfinished)

    @property
    def stagnates(self) -> bool:
        """Whether patience has run out."""
        return self._patience.is_spent

    @property
    def compared_at(self) -> int:
        """The last epoch that as many trials have reached as samplers begin with; 0 where there are fewer."""
        epochs = heapq.nlargest(self._enough, [*self._farthest, *map(last_epoch, self.alive)])
        return epochs[-1] if len(epochs) == self._enough else 0

    def first(self, number: int) -> list[FrozenTrial]:
        """The first trials of the study."""
        return self._trials[:number]

    def has_tried(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial had these: training is seeded, so it could only bring again what it brought."""
        return _written(params) in self._tried or any(params == trial.params for trial in self.alive)

    def num_better(self, rung: int, place: Place) -> int:
        """How many trials that are over stand better at a rung."""
        return len(self._at_rungs[rung]) - bisect_left(self._at_rungs[rung], place)

    def num_over_at(self, rung: int) -> int:
        """How many trials that are over have a score at a rung."""
        return len(self._at_rungs[rung])

    def shown(self) -> list[FrozenTrial]:
        """The trials that a sampler sees, by number: those that run, and of all others the best MOST, where they are
        compared, and the newest MOST of the rest.
        """
        alive = self.alive
        paused = [trial for trial in alive if last_epoch(trial) in self._pauses]
        if len(self._over) + len(paused) <= 2 * MOST:
            return [trial for trial in self._trials if trial.state != TrialState.WAITING]
        best = {-minus for _, minus in heapq.nlargest(MOST, [*self._best_over(), *self._places(paused)])}
        resting = [*self._over[-2 * MOST :], *(trial.number for trial in paused)]
        newest = heapq.nlargest(MOST, (number for number in resting if number not in best))
        running = {trial.number for trial in alive} - {trial.number for trial in paused}
        return [self._trials[number] for number in sorted({*running, *best, *newest})]

    def _end(self, trial: FrozenTrial) -> None:
        insort(self._over, trial.number)
        self._tried.add(_written(trial.params))
        self._farthest = heapq.nlargest(self._enough, [*self._farthest, last_epoch(trial)])
        self._patience.add(trial)
        for rung, places in self._at_rungs.items():
            if is_compared(trial) and rung in trial.intermediate_values:
                insort(places, (trial.intermediate_values[rung], -trial.number))
        self._best += self._places([trial])
        if len(self._best) > 2 * MOST:
            self._best = heapq.nlargest(MOST, self._best)

    def _best_over(self) -> list[Place]:
        """The best of those that are over, where trials are compared now, and maybe more."""
        over = (self._trials[number] for number in self._over)
        if len(self._study.directions) > 1:
            return _ranked([trial for trial in over if trial.state == TrialState.COMPLETE], self._study.directions)
        if self.compared_at != self._best_at:
            self._best_at = self.compared_at
            self._best = heapq.nlargest(MOST, self._places(over))
        return self._best

    def _places(self, trials: Iterable[FrozenTrial]) -> list[Place]:
        """Of those that have come to the epoch at which trials are compared."""
        epoch = self._best_at
        return [
            (score_at(trial, epoch), -trial.number)
            for trial in trials
            if is_compared(trial) and 0 < epoch <= last_epoch(trial)
        ]


def is_compared(trial: FrozenTrial) -> bool:
    """Whether a trial counts where scores are compared; one that failed or never fitted into memory does not."""
    return trial.state not in (TrialState.FAIL, TrialState.WAITING) and not trial.constraints.get("memory")


def _ranked(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[Place]:
    """Of several objectives: by the front that a trial is on once the better ones are taken away."""
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in directions]
    losses = np.array([trial.values for trial in trials], float).reshape(-1, len(signs)) * signs
    fronts = _fast_non_domination_rank(losses, n_below=MOST)
    return [(-float(front), -trial.number) for front, trial in zip(fronts, trials, strict=True)]


def _written(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))
