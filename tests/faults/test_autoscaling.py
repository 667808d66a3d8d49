"""A cluster that Ray makes larger by itself gets larger, since trials wait (Ray's own provider for tests of that)."""

import time

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from tests.faults.cluster import RAY, Cluster
from tests.faults.hosts import Hosts
from tests.faults.study import outcomes, run_folder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
LISTS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
LISTS += ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files")
LAUNCH = {
    "cluster_name": "grows",
    "max_workers": 3,
    "idle_timeout_minutes": 10,
    "provider": {
        "type": "external",  # that of its own name needs a file that Ray's wheel lacks
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "cpu": {
            "resources": {"CPU": 1, "object_store_memory": 100_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 3,
        },
    },
    "auth": {},
    "docker": {},
    "file_mounts": {},
    **{name: [] for name in LISTS},
}
ENV = "AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_FAKE_CLUSTER=1 RAY_USAGE_STATS_ENABLED=0"
OF_HEAD = ("RAY_CLOUD_INSTANCE_ID", "RAY_OVERRIDE_NODE_ID_FOR_TESTING")
SECOND = "RAY_enable_autoscaler_v2=1 RAY_NODE_TYPE_NAME=ray.head.default "
SECOND += " ".join(f"{name}={FAKE_HEAD_NODE_ID}" for name in OF_HEAD)


@pytest.mark.parametrize("autoscaler", ["first", "second"])
def test_trials_that_wait_bring_machines_where_there_is_none(tmp_path, autoscaler):
    of_second = autoscaler == "second"
    provider = LAUNCH["provider"] | ({"launch_multiple": True, "head_node_id": FAKE_HEAD_NODE_ID} if of_second else {})
    launch = tmp_path / "launch.yaml"
    launch.write_text(yaml.safe_dump(LAUNCH | {"provider": provider}))
    with Hosts(tmp_path) as hosts:
        cluster, own = Cluster(hosts, tmp_path), hosts.add("head")
        start = f"{RAY} start --head --node-ip-address={own} --port=6379 --num-cpus=0 --include-dashboard=false"
        start = f"{ENV} {SECOND if of_second else ''} {start} --object-store-memory=200000000"
        hosts.run("head", f"{start} --autoscaling-config={launch}")
        time.sleep(10)  # until the autoscaler has said something
        raylets = lambda: len(hosts.processes("head", "raylet/raylet"))  # noqa: E731
        assert raylets() == 1
        command = cluster.search(num_trials=6, max_concurrent=None)
        command.wait(lambda: raylets() >= 3, 300)
        command.wait(lambda: len(hosts.processes("head", "ImplicitFunc")) >= 2, 300)
        assert command.end(500) == 0, command.text
    assert [each["status"] for each in outcomes(run_folder(tmp_path)).values()] == ["complete"] * 6
