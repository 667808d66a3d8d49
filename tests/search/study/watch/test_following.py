"""How many trials a cluster is given, while it grows and shrinks."""

import json
from types import SimpleNamespace

import pytest
import ray
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

from lssat.errors import ConfigError
from lssat.settings.training import ResourcesConfig
from search.study import capacity
from search.study.capacity import Following, check_possible

ONE, PAIR = ResourcesConfig(), ResourcesConfig(num_workers=2)


@pytest.fixture
def cluster(monkeypatch):
    """What a cluster has, and what Ray's two autoscalers say of the machines that they add; all may change."""
    have, first, second = {"CPU": 4.0}, {}, GetClusterStatusReply()
    answers = SimpleNamespace(get_cluster_status=second.SerializeToString)
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "NodeID": "1", "Resources": have}])
    monkeypatch.setattr(ray._private.state.state, "get_draining_nodes", dict)
    monkeypatch.setattr(capacity, "_internal_kv_get", lambda key: json.dumps(first).encode() if first else None)
    monkeypatch.setattr(capacity, "internal_kv_get_gcs_client", lambda: answers)
    monkeypatch.setattr(capacity, "LOOK_EVERY_S", -1)
    return have, first, second


TYPES = [("ray.worker", 8), ("node_0a1b", 5), ("local.cluster.node", 5)]
"""Of machines, and how many trials there are at a time on four of one core."""


def test_it_is_what_the_cluster_holds_now_and_one_that_waits(cluster):
    have, _, _ = cluster
    following, few = Following([ONE], False, None), Following([ONE], False, 2)
    numbers = []
    for have["CPU"] in (4, 9, 1, 0, 3):
        numbers.append((following(), few()))
    assert numbers == [(5, 2), (10, 2), (2, 2), (1, 1), (4, 2)]


@pytest.mark.parametrize(("name", "number"), TYPES)
def test_where_ray_adds_machines_as_many_wait_as_run(cluster, name, number):
    cluster[1]["autoscaler_report"] = {"active_nodes": {name: 2}}
    assert Following([ONE], False, None)() == number


@pytest.mark.parametrize(("name", "number"), [*TYPES, ("", 5)])
def test_so_they_do_where_its_second_autoscaler_adds_them(cluster, name, number):
    cluster[2].cluster_resource_state.node_states.add(ray_node_type_name=name)
    assert Following([ONE], False, None)() == 5, "machines have a type where no autoscaler has said a word, too"
    cluster[2].autoscaling_state.autoscaler_state_version = 1
    assert Following([ONE], False, None)() == number


def test_where_data_are_streamed_a_core_is_left_to_decode_them(cluster):
    assert Following([ONE], True, None)() == 3
    cluster[1]["autoscaler_report"] = {"active_nodes": {"ray.worker": 2}}
    assert Following([ONE], True, None)() == 3


def test_of_trials_with_several_workers_none_waits(cluster):
    assert Following([ONE, PAIR], False, None)() == 2
    cluster[0]["CPU"] = 0
    assert Following([PAIR], False, None)() == 1


def test_of_machines_that_hold_a_worker_each_what_is_left_over_holds_none(cluster, monkeypatch):
    """Four machines of 5 CPUs have 20, and no more than four workers of 3."""
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 20.0})
    machines = [{"Alive": True, "NodeID": str(number), "Resources": {"CPU": 5.0}} for number in range(4)]
    monkeypatch.setattr(ray, "nodes", lambda: machines)
    pair = ResourcesConfig(num_workers=2, cpus_per_worker=3)
    assert Following([pair], False, None)() == 2
    monkeypatch.setattr(ray._private.state.state, "get_draining_nodes", lambda: {"0": 0})
    assert Following([pair], False, None)() == 1


def test_a_study_that_goes_on_waits_for_machines_that_have_left(cluster, monkeypatch):
    monkeypatch.setattr(ray._private.worker, "_global_node", SimpleNamespace(webui_url="127.0.0.1:8265"))
    eight = ResourcesConfig(num_workers=8)
    with pytest.raises(ConfigError, match=r"needs 8 CPUs and 0 GPUs, 1 and 0 of one node .*there are 4"):
        check_possible([eight], False)
    check_possible([eight], False, may_wait=True)
    with pytest.raises(ConfigError, match="no single node has them"):
        check_possible([ResourcesConfig(cpus_per_worker=5)], False)
