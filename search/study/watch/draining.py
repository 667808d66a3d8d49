"""Nodes that are being drained, as spot machines are before they go: their trials go on elsewhere, and lose nothing.

Ray's own notice does not reach a trial that trains in its own process (Ray 2.60).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import ray
from ray.tune.experiment import Trial

from search.study.watch.running import Running


@dataclass
class DrainingNodes:
    """Ends the process of a trial on such a node once an epoch is saved, or at once where there is no time for one. Ray
    starts nothing on such a node, so the trial goes on elsewhere; it is no death that counts.
    """

    say: Callable[[str], None]
    _told: set[str] = field(default_factory=set)  # Tune's ids of the trials
    _leaving: set[str] = field(default_factory=set)

    def look(self, running: dict[str, Running], trials: list[Trial], now: float) -> None:
        """Move what can be moved."""
        draining = ray._private.state.state.get_draining_nodes()
        if not draining:
            return
        for trial_id, each in list(running.items()):
            if each.node not in draining:
                continue
            left = draining[each.node] / 1000 - time.time() if draining[each.node] else float("inf")
            has_time = left > max(0.0, each.longest - (now - each.since))
            if trial_id not in self._told:
                self._told.add(trial_id)
                when = "after its next epoch" if has_time else "now, as there is no time for another epoch"
                self.say(f"{each.name} is on a node that is being drained; it goes on elsewhere {when}")
            if trial_id in self._leaving or not has_time:
                self._leaving.discard(trial_id)
                self._told.discard(trial_id)
                each.trial.run_metadata.num_failures -= 1  # what follows is no death that counts
                each.end_process()
                running.pop(trial_id)

    def reported(self, running: Running) -> None:
        """An epoch is saved."""
        if running.trial.trial_id in self._told:
            self._leaving.add(running.trial.trial_id)
