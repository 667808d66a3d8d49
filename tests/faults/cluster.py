"""A Ray cluster on machines of their own network, and a study on it whose driver is on the head."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.hosts import Hosts
from tests.faults.study import Command, words

RAY = f"{Path(sys.executable).parent}/ray"
START = f"{RAY} start --disable-usage-stats --object-store-memory=200000000"
TRAINER = "ImplicitFunc"


@dataclass
class Cluster:
    """`folder`: what all machines see."""

    hosts: Hosts
    folder: Path

    @property
    def address(self) -> str:
        """Of the head."""
        return f"{self.hosts.addresses['head']}:6379"

    def start_head(self, num_cpus: int = 0, dashboard: bool = False) -> None:
        """Its machine, and Ray on it."""
        own = self.hosts.add("head")
        shown = "true --dashboard-host=127.0.0.1" if dashboard else "false"
        at = f"--node-ip-address={own} --port=6379 --num-cpus={num_cpus}"
        self.hosts.run("head", f"{START} --head {at} --include-dashboard={shown}")

    def join(self, name: str, num_cpus: int = 1, env: str = "") -> None:
        """A machine joins. `env`: variables of its own, `NAME=value`."""
        own = self.hosts.add(name)
        self.hosts.run(name, f"{env} {START} --address={self.address} --node-ip-address={own} --num-cpus={num_cpus}")

    def words(self, *more: str, **search: object) -> list[str]:
        """The command of a study, typed on the head."""
        storage = str(self.folder / "storage")
        return words(self.folder, "--address", self.address, "--storage", storage, *more, **search)

    def search(self, *more: str, **search: object) -> Command:
        """Start it."""
        return Command.begin(self.hosts.words("head", shlex.join(self.words(*more, **search))), self.folder)

    def trains(self, *names: str) -> str:
        """The machine, of these, that trains a trial; empty: none."""
        return next((name for name in names if self.hosts.processes(name, TRAINER)), "")

    def drain(self, name: str, seconds: int) -> str:
        """Tell Ray that a machine goes; the command that did."""
        nodes = self.hosts.run(
            "head",
            f"{sys.executable} -c \"import ray; ray.init('{self.address}', log_to_driver=False); "
            "print(*[n['NodeManagerAddress'] + ' ' + n['NodeID'] for n in ray.nodes() if n['Alive']], sep='\\n')\"",
        )
        node = dict(line.split() for line in nodes.splitlines() if line.startswith("10."))[self.hosts.addresses[name]]
        why = "--reason=DRAIN_NODE_REASON_PREEMPTION --reason-message=spot"
        typed = f"ray drain-node {why} --deadline-remaining-seconds={seconds}"
        self.hosts.run("head", f"{RAY}{typed[3:]} --node-id={node} --address={self.address}")
        return typed


@contextlib.contextmanager
def cluster(folder: Path, *names: str, dashboard: bool = False) -> Iterator[Cluster]:
    """A head without CPUs and machines with one each."""
    with Hosts(folder) as hosts:
        made = Cluster(hosts, folder)
        made.start_head(dashboard=dashboard)
        for name in names:
            made.join(name)
        yield made
        time.sleep(0.1)
