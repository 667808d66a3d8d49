"""A cluster that Ray makes larger by itself gets larger, since trials wait (Ray's own provider for tests of that)."""

import json
import time

import pytest
from ray.cluster_utils import AutoscalingCluster

from tests.faults.cluster import RAY, Cluster
from tests.faults.hosts import Hosts
from tests.faults.study import outcomes, run_folder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
NODES = {
    "cpu": {
        "resources": {"CPU": 1, "object_store_memory": 100_000_000},
        "node_config": {},
        "min_workers": 1,
        "max_workers": 3,
    }
}


def test_trials_that_wait_bring_machines(tmp_path):
    made = AutoscalingCluster({"CPU": 0}, NODES, idle_timeout_minutes=10)
    (tmp_path / "autoscaling.json").write_text(json.dumps(made._config))
    with Hosts(tmp_path) as hosts:
        cluster, own = Cluster(hosts, tmp_path), hosts.add("head")
        start = f"{RAY} start --head --node-ip-address={own} --port=6379 --num-cpus=0 --include-dashboard=false"
        env = "AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_FAKE_CLUSTER=1 RAY_USAGE_STATS_ENABLED=0"
        hosts.run(
            "head", f"{env} {start} --object-store-memory=200000000 --autoscaling-config={tmp_path}/autoscaling.json"
        )
        deadline = time.monotonic() + 120
        while len(hosts.processes("head", "raylet/raylet")) < 2:
            assert time.monotonic() < deadline, "the least machines"
            time.sleep(1)
        command = cluster.search(num_trials=6, max_concurrent=None)
        command.wait(lambda: len(hosts.processes("head", "raylet/raylet")) >= 3, 300)
        command.wait(lambda: len(hosts.processes("head", "ImplicitFunc")) >= 2, 300)
        assert command.end(500) == 0, command.text
    assert [each["status"] for each in outcomes(run_folder(tmp_path)).values()] == ["complete"] * 6
