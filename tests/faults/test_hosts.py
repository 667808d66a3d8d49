"""The machines that faults are injected into are machines: apart from each other, and gone when the test is."""

import os
import subprocess
import time

import pytest

from tests.faults.hosts import Hosts

pytestmark = pytest.mark.faults


def test_machines_reach_each_other_until_a_cable_is_out_and_are_gone_when_the_test_is(tmp_path):
    with Hosts(tmp_path) as hosts:
        addresses = [hosts.add(name) for name in ("head", "one")]
        assert hosts.run("one", "hostname").strip() == "one"
        hosts.run("one", "touch /tmp/own")
        assert not os.path.exists("/tmp/own")
        hosts.run("one", f"touch {tmp_path}/all")
        assert (tmp_path / "all").exists()
        server = subprocess.Popen(hosts.words("head", "python -m http.server 8000 --bind 0.0.0.0"))
        fetch = f"python -c \"import urllib.request as r; r.urlopen('http://{addresses[0]}:8000', timeout=2)\""
        wait_until(lambda: succeeds(hosts, fetch))
        hosts.cut("one")
        assert not succeeds(hosts, fetch)
        hosts.mend("one")
        wait_until(lambda: succeeds(hosts, fetch))
        hosts.off("head")
        assert server.wait(10) != 0
        hosts.add("head")
        assert hosts.run("head", "hostname").strip() == "head"
        last = hosts.processes("one", "host-one")[0]
    wait_until(lambda: not last.is_running())


def succeeds(hosts, command):
    try:
        hosts.run("one", command)
    except subprocess.CalledProcessError:
        return False
    return True


def wait_until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
