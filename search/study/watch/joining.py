"""Nodes that join while a study runs are asked what they have installed, as those were that it began with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import ray
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION
from ray.exceptions import RayError
from ray.tune.experiment import Trial

from lssat.on_ray.same_environment import REPAIR, ask, differences, installed, locked
from search.study.cluster import other_nodes
from search.study.watch.running import Running


@dataclass
class JoiningNodes:
    """Drains a node that has other versions than this process, and says so: Ray starts nothing more there, and what it
    has started there goes on elsewhere at once.
    """

    say: Callable[[str], None]
    names: list[str] = field(default_factory=locked)
    _asked: dict[str, ray.ObjectRef[dict[str, str]]] = field(default_factory=dict)  # by Ray's ids
    _known: set[str] = field(default_factory=set)

    def look(self, running: dict[str, Running], trials: list[Trial], now: float) -> None:
        """Ask those that are new, and hear those that have answered; none is waited for."""
        nodes = other_nodes()
        self._asked |= {node: ask(node, self.names) for node in nodes.keys() - self._known}
        self._known |= nodes.keys()
        for node, there in self._answers():
            if said := differences(installed(self.names), there):
                drain(node, said)
                self.say(f"node {nodes.get(node, node)} has {said}; no trial is trained there: {REPAIR}")

    def reported(self, running: Running) -> None:
        """An epoch says nothing of a node's versions."""

    def _answers(self) -> list[tuple[str, Mapping[str, str]]]:
        by_answer = {answer: node for node, answer in self._asked.items()}
        ready = ray.wait(list(by_answer), num_returns=len(by_answer), timeout=0)[0] if by_answer else []
        heard = []
        for answer in ready:
            node = by_answer[answer]
            del self._asked[node]
            try:
                heard.append((node, ray.get(answer)))
            except RayError:  # it has left meanwhile
                continue
        return heard


def drain(node: str, why: str) -> None:
    """As if the machine went this very moment."""
    client = ray._private.worker.global_worker.gcs_client
    client.drain_node(node, DRAIN_NODE_REASON_PREEMPTION, why, int(time.time() * 1000))
