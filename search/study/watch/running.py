"""Looks after the trials that run: each few seconds from Ray Tune's loop, which is where their processes are known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from lssat.train.result import EpochResult, read_report
from search.strategy.suggestion import suggestion_of
from search.study.watch import hung

LOOK_EVERY_S = 2.0
LONGEST_STEP_S = 30.0
"""That counts between two looks: a laptop that was shut, or a command that was halted, is no trial that hangs."""


@dataclass
class Running:
    """A trial whose process is up. `since`: on the watch's clock, its start or last epoch. `longest`: seconds of an
    epoch; 0: none is known. `epoch`: its last.
    """

    trial: Trial
    since: float
    epoch: int = 0
    longest: float = 0.0

    @property
    def name(self) -> str:
        """The trial's, as in the record."""
        return suggestion_of(self.trial).name

    @cached_property
    def node(self) -> str:
        """Ray's id of the node that its process is on; empty where Ray does not say."""
        actor = self.trial.temporary_state.ray_actor
        found = ray._private.state.actors(actor._actor_id.hex()) if actor else {}
        return str(found.get("Address", {}).get("NodeID", ""))

    def end_process(self) -> None:
        """Ray Tune will find it dead, and let the trial go on from its last epoch where it may."""
        if actor := self.trial.temporary_state.ray_actor:
            ray.kill(actor)


class Look(Protocol):
    """What is looked at every few seconds."""

    def look(self, running: dict[str, Running], trials: list[Trial], now: float) -> None:
        """`running`: by Tune's id. `now`: on the clock of `Running.since`."""

    def reported(self, running: Running) -> None:
        """A trial has finished a new epoch which is not its last."""


@dataclass
class HungTrials:
    """Ends the process of a trial that has been without a new epoch for too long. `died_of`: where it is noted why, by
    Tune's id of the trial.
    """

    minutes: float | None
    died_of: dict[str, str]
    say: Callable[[str], None]
    _longest_of_any: float = 0.0

    def look(self, running: dict[str, Running], trials: list[Trial], now: float) -> None:
        """End those."""
        if self.minutes is None:
            return
        self._longest_of_any = max([self._longest_of_any, *(each.longest for each in running.values())])
        for trial_id, each in list(running.items()):
            if now - each.since > hung.limit(self.minutes, each.longest, self._longest_of_any):
                self.died_of[trial_id] = hung.said(now - each.since)
                self.say(f"{each.name} hangs: {self.died_of[trial_id]}; its process is ended")
                each.since = now
                each.end_process()

    def reported(self, running: Running) -> None:
        """It does not hang."""
        self.died_of.pop(running.trial.trial_id, None)


@dataclass
class Watch(Callback):  # type: ignore[misc]
    """Keeps what is known of running trials, and lets others look at it."""

    looks: list[Look]
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, Running] = field(default_factory=dict)
    _known: dict[str, tuple[int, float]] = field(default_factory=dict)  # last epoch, seconds of the longest
    _now: float = 0.0
    _seen: float | None = None  # the clock at the last step
    _looked: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its callbacks; nothing reads those snapshots."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A process is up."""
        longest = self._known.get(trial.trial_id, (0, 0.0))[1]
        self._running[trial.trial_id] = Running(trial, self._now, longest=longest)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A process has said something: an epoch that it had reported before it went on is not new."""
        running, message = self._running.get(trial.trial_id), read_report(result)
        if running is None or not isinstance(message, EpochResult):
            return
        if running.epoch:
            running.longest = max(running.longest, self._now - running.since)
        running.epoch, running.since = message.epoch, self._now
        before = self._known.get(trial.trial_id, (0, 0.0))[0]
        self._known[trial.trial_id] = max(before, message.epoch), running.longest
        if message.epoch > before and not message.is_last:
            for each in self.looks:
                each.reported(running)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A process has died, and its trial waits for another."""
        self._running.pop(trial.trial_id, None)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial is over."""
        self._forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial is over."""
        self._forget(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Look, where it is time."""
        clock = self.clock()
        self._now += min(clock - (self._seen or clock), LONGEST_STEP_S)
        self._seen = clock
        if self._now - self._looked >= LOOK_EVERY_S:
            self._looked = self._now
            for each in self.looks:
                each.look(self._running, trials, self._now)

    def _forget(self, trial: Trial) -> None:
        self._running.pop(trial.trial_id, None)
        self._known.pop(trial.trial_id, None)
