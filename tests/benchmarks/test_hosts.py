"""How near to linear three hosts are: as many trials per host as on one, each of them asleep. `make bench`.

What is measured is what the engine adds to the trials of a study on a cluster: Ray Tune with a study's settings, one
CPU a trial.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "tests" / "search" / "study" / "cluster" / "hosts.sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
SLOTS, ROUNDS = 2, 6
LEAST = 0.9
ON_HEAD = """
cd {root}
start() {{ # HOST OPTIONS
    ssh -o StrictHostKeyChecking=no "$1" "cd {root}; {python}/ray start ${{*:2}} --num-cpus={slots} \
        --object-store-memory=200000000 --disable-usage-stats" > ~/"$1.started" 2>&1 || cat ~/"$1.started"
}}
start host1 --head --port=6379 --include-dashboard=true --dashboard-host=127.0.0.1
for host in {others}; do start "$host" --address=10.79.0.1:6379 & done
wait
ssh host1 "cd {root}; {python}/python -m tests.benchmarks.sleeping.driver 10.79.0.1:6379 {root} {trials} {all_slots}"
"""


def seconds_on(num_hosts):
    hosts = [f"host{number + 1}" for number in range(num_hosts)]
    slots = SLOTS * num_hosts
    command = ON_HEAD.format(
        root=ROOT,
        python=f"{sys.prefix}/bin",
        slots=SLOTS,
        others=" ".join(hosts[1:]),
        trials=slots * ROUNDS,
        all_slots=slots,
    )
    folders = ":".join(map(str, (ROOT, sys.prefix, Path(sys.prefix).resolve(), sys.base_prefix)))
    done = subprocess.run(
        ["unshare", *NAMESPACES, "bash", HOSTS, folders, sys.prefix, command, *hosts],
        cwd=ROOT,
        env={"PATH": PATH, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    took = re.search(r"^took: ([\d.]+)$", done.stdout, re.M)
    assert took, done.stdout + done.stderr
    return float(took[1])


def test_three_hosts_are_nearly_three_times_one():
    if os.geteuid() or not shutil.which("sshd", path=PATH):
        pytest.skip("needs root that may make namespaces, and sshd")
    one, three = seconds_on(1), seconds_on(3)
    asleep = ROUNDS * 10.0
    print(f"\n{SLOTS * ROUNDS} sleeping trials of 10 s per host, {SLOTS} at a time")
    print(f"one host {one:.1f} s, three {three:.1f} s")
    print(f"of linear {one / three:.1%}; of sleep alone {asleep / three:.1%}")
    assert one / three >= LEAST
