"""A search on recorded curves instead of training: the calls that Ray Tune would make of a searcher and a scheduler, in
the same order.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from lssat.train.result import EpochResult
from search.strategy.suggestion import TUNE_KEY
from tests.benchmarks.efficiency.curves import Cell, Curves


@dataclass(frozen=True, eq=False)
class Trial:
    """What Ray's schedulers read of a trial, and the cell that it tries."""

    trial_id: str
    config: dict[str, Any]
    cell: Cell
    first: int  # epochs that it had before it paused
    run_metadata: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(num_failures=0))


class Tick(NamedTuple):
    """The end of an epoch, on the clock of the recorded seconds."""

    time: float
    trial_id: str
    trial: Trial
    epoch: int


class Replayed(NamedTuple):
    """What a search cost. `epochs` are those of all trials, or the whole budget where it ended without a good one;
    `repeated` are the trials of a cell that an earlier one had tried.
    """

    reached: bool
    epochs: int
    trials: int
    repeated: int


def replay(
    curves: Curves, searcher: Searcher, scheduler: TrialScheduler, concurrent: int, budget: int, tolerance: float = 0.01
) -> Replayed:
    """Search until a trial of a good cell has had its full budget, or until `budget` epochs are spent.

    An epoch counts when it ends, whosever it is: of a trial that is stopped later, of one that runs beside the last, of
    a cell that was tried before. A trial that was paused goes on after its last epoch, as it does from its checkpoint.
    """
    good = curves.good(tolerance)
    begun: list[Trial] = []
    ticks: list[Tick] = []

    def begin(now: float) -> None:
        trial = _next(curves, searcher, scheduler, len(begun))
        if trial:
            begun.append(trial)
            heapq.heappush(
                ticks, Tick(now + curves.seconds[trial.cell][trial.first], trial.trial_id, trial, trial.first + 1)
            )

    for _ in range(concurrent):
        begin(0.0)
    reached, spent = False, 0
    while ticks and spent < budget and not reached:
        now, _, trial, epoch = heapq.heappop(ticks)
        spent += 1
        if _goes_on(curves, searcher, scheduler, trial, epoch):
            heapq.heappush(ticks, Tick(now + curves.seconds[trial.cell][epoch], trial.trial_id, trial, epoch + 1))
        else:
            reached = epoch == curves.epochs and trial.cell in good
            begin(now)
    tried = [trial.cell for trial in begun if not trial.first]
    return Replayed(reached, spent if reached else budget, len(tried), len(tried) - len(set(tried)))


def _next(curves: Curves, searcher: Searcher, scheduler: TrialScheduler, number: int) -> Trial | None:
    trial_id = f"{number:05d}"
    suggested = searcher.suggest(trial_id)
    if not isinstance(suggested, dict):
        return None
    ours = suggested.get(TUNE_KEY)
    cell, first = (curves.cell(ours.sampled), ours.promoted) if ours else (curves.cell(suggested), 0)
    trial = Trial(trial_id, suggested, cell, first)
    scheduler.on_trial_add(None, trial)
    return trial


def _goes_on(curves: Curves, searcher: Searcher, scheduler: TrialScheduler, trial: Trial, epoch: int) -> bool:
    """Report an epoch, as Ray's controller does: a result that stops a trial reaches the searcher as the trial's end
    alone.
    """
    score = curves.best[trial.cell][epoch - 1]
    report = EpochResult(epoch, curves.epochs, score, score, parameters=0, micro_batches=1).to_report()
    result = {**report, "training_iteration": epoch}
    if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
        searcher.on_trial_complete(trial.trial_id, result)
        return False
    searcher.on_trial_result(trial.trial_id, result)
    if epoch < curves.epochs:
        return True
    scheduler.on_trial_complete(None, trial, result)
    searcher.on_trial_complete(trial.trial_id, result)
    return False
