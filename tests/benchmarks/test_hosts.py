"""How near to linear three hosts are: as many trials per host as on one, each of them asleep. `make bench`.

What is measured is what the engine adds to the trials of a study on a cluster: Ray Tune with a study's settings, one
CPU a trial.
"""

import re
import sys

import pytest

from tests.benchmarks.sleeping.driver import SECONDS
from tests.faults.cluster import Cluster
from tests.faults.hosts import Hosts

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

SLOTS, ROUNDS = 2, 6
LEAST = 0.9


def seconds_on(folder, *names):
    folder.mkdir()
    with Hosts(folder) as hosts:
        made = Cluster(hosts, folder)
        made.start_head(dashboard=True)
        for name in names:
            made.join(name, SLOTS)
        slots = SLOTS * len(names)
        command = f"{sys.executable} -m tests.benchmarks.sleeping.driver {made.address} {slots * ROUNDS} {slots}"
        said = hosts.run("head", command, timeout=400)
    return float(re.search(r"^took: ([\d.]+)$", said, re.M)[1])


def test_three_hosts_are_nearly_three_times_one(tmp_path):
    one = seconds_on(tmp_path / "one", "one")
    three = seconds_on(tmp_path / "three", "one", "two", "three")
    print(f"\n{SLOTS * ROUNDS} sleeping trials of {SECONDS:.0f} s per host, {SLOTS} at a time")
    print(f"one host {one:.1f} s, three {three:.1f} s")
    print(f"of linear {one / three:.1%}; of sleep alone {ROUNDS * SECONDS / three:.1%}")
    assert one / three >= LEAST
