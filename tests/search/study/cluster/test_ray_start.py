"""Ray gives itself 30 s to start. On a busy machine that is tried once more, and then said."""

import os
from pathlib import Path

import pytest
import ray
from ray._private.node import Node

from lssat.on_ray.machine_fault import MachineFailed
from search.study.cluster import connect

ROOT = Path(__file__).resolve().parents[4]
LATE = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


class LateNode(Node):
    """Is never up."""

    def __init__(self, ended):
        self._ended = ended
        raise Exception(LATE)

    def kill_all_processes(self, check_alive=True, allow_graceful=False, wait=False):
        self._ended.append(self)


@pytest.fixture
def starts(monkeypatch):
    """What Ray does at each start, and the nodes whose processes were ended."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    left, ended, ports = [], [], []

    def init(address, **options):
        ports.append(os.environ["RAY_GCS_SERVER_PORT"])
        if left.pop(0) == "late":
            LateNode(ended)

    monkeypatch.setattr(ray, "init", init)
    return left, ended, ports


def test_a_late_start_is_tried_again_elsewhere_and_what_it_began_is_ended(starts):
    left, ended, ports = starts
    left += ["late", "up"]
    connect(None, ROOT)
    assert (left, len(ended), len(set(ports))) == ([], 1, 2)


def test_two_late_starts_are_a_machine_that_is_too_busy(starts):
    left, ended, _ = starts
    left += ["late", "late"]
    with pytest.raises(MachineFailed, match="Ray was not up within 30 s, twice; this machine is too busy"):
        connect(None, ROOT)
    assert len(ended) == 2


def test_any_other_error_is_not_tried_again(monkeypatch):
    def init(address, **options):
        raise RuntimeError("something else")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(RuntimeError, match="something else"):
        connect(None, ROOT)
