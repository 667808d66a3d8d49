"""What a trial waits for, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import ray
from ray.tune.experiment import Trial

from search.strategy.suggestion import suggestion_of
from search.study.watch.running import Running

PATIENCE_S = 15.0
"""A process needs some of it to start; what waits longer waits for resources."""
KINDS = {"CPU": ("CPU", "CPUs"), "GPU": ("GPU", "GPUs")}


def reason(wanted: Mapping[str, float], have: Mapping[str, float], free: Mapping[str, float], num_nodes: int) -> str:
    """Why resources are not to be had. `have`: of all nodes, `free` of these. Empty where they are free."""
    nodes = f"{num_nodes} node{'s' if num_nodes != 1 else ''}"
    for kind, amount in wanted.items():
        if kind in KINDS and amount > have.get(kind, 0):
            number = f"{have[kind]:g}" if have.get(kind) else "none"
            return f"it needs {_amount(kind, amount)}, and the cluster has {number}: {nodes} left"
    for kind, amount in wanted.items():
        if kind in KINDS and amount > free.get(kind, 0):
            left = f"{free[kind]:g} free" if free.get(kind) else "none free"
            return f"it needs {_amount(kind, amount)}, and of the cluster's {have[kind]:g} there is {left}"
    return ""


def _amount(kind: str, amount: float) -> str:
    return f"{amount:g} {KINDS[kind][amount != 1]}"


@dataclass
class WaitingTrials:
    """Says what trials wait for that have waited for some time. `show`: what is shown; empty: nothing waits."""

    show: Callable[[str], None]
    _since: dict[str, float] = field(default_factory=dict)  # by Tune's id of the trial

    def look(self, running: dict[str, Running], trials: list[Trial], now: float) -> None:
        """What Tune has asked Ray for, and groups of workers whose trials run and wait for them."""
        waiting = {trial.trial_id: trial for trial in trials if trial.status == Trial.PENDING}
        waiting |= {key: each.trial for key, each in running.items() if not each.epoch and _is_group(each.trial)}
        self._since = {key: self._since.get(key, now) for key in waiting}
        long = [trial for key, trial in waiting.items() if now - self._since[key] >= PATIENCE_S]
        if not long:
            self.show("")
            return
        alive = [node for node in ray.nodes() if node["Alive"]]
        have: Counter[str] = Counter()
        for node in alive:
            have.update({kind: node["Resources"].get(kind, 0) for kind in KINDS})
        why = reason(wanted_by(long[0]), have, ray.available_resources(), len(alive))
        others = f" and {len(long) - 1} more wait" if len(long) > 1 else " waits"
        self.show(f"{suggestion_of(long[0]).name}{others}: {why}" if why else "")

    def reported(self, running: Running) -> None:
        """It does not wait."""


def wanted_by(trial: Trial) -> dict[str, float]:
    """What a trial needs in all."""
    wanted = suggestion_of(trial).config.resources
    return {"CPU": wanted.num_workers * wanted.cpus_per_worker, "GPU": wanted.num_workers * wanted.gpus_per_worker}


def _is_group(trial: Trial) -> bool:
    return suggestion_of(trial).config.resources.num_workers > 1
