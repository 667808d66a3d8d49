"""How many trials a cluster is given, while it grows and shrinks."""

import json

import pytest
import ray

from lssat.settings.training import ResourcesConfig
from search.study import capacity
from search.study.capacity import Following

ONE, PAIR = ResourcesConfig(), ResourcesConfig(num_workers=2)


@pytest.fixture
def cluster(monkeypatch):
    """What a cluster has, and what Ray says of machines that it adds; both may change."""
    have, said = {"CPU": 4.0}, {}
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    monkeypatch.setattr(capacity, "_internal_kv_get", lambda key: json.dumps(said).encode() if said else None)
    monkeypatch.setattr(capacity, "LOOK_EVERY_S", -1)
    return have, said


def test_it_is_what_the_cluster_holds_now_and_one_that_waits(cluster):
    have, _ = cluster
    following, few = Following([ONE], False, None), Following([ONE], False, 2)
    numbers = []
    for have["CPU"] in (4, 9, 1, 0, 3):
        numbers.append((following(), few()))
    assert numbers == [(5, 2), (10, 2), (2, 2), (1, 1), (4, 2)]


@pytest.mark.parametrize(
    ("types", "number"), [({"ray.worker": 2}, 8), ({"node_0a1b": 2}, 5), ({"local.cluster.node": 2}, 5)]
)
def test_where_ray_adds_machines_as_many_wait_as_run(cluster, types, number):
    cluster[1]["autoscaler_report"] = {"active_nodes": types}
    assert Following([ONE], False, None)() == number


def test_of_trials_with_several_workers_none_waits(cluster):
    assert Following([ONE, PAIR], False, None)() == 2
    cluster[0]["CPU"] = 0
    assert Following([PAIR], False, None)() == 1
