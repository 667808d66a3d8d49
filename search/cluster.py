"""Ray, here or on a cluster that is already up; and the storage that its nodes share."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lssat.config import ConfigError

LEFT_OUT = [".git", ".venv", "results", "docs", "tests", "*.parquet", "**/__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"]
QUIET = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
KEEP_MEMORY = {  # glibc gives large tensors back to the kernel at once, and taking them anew costs a fifth of a step on a CPU (measured)
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
}


def connect(address: str | None, root: Path) -> None:
    """Start Ray on this machine, heard on 127.0.0.1 only, or join the cluster at `address`. Raises ConfigError."""
    os.environ.update(QUIET | KEEP_MEMORY)
    if address is None:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        # The dashboard stays on: without it, trials with several workers that ASHA stops never give back their CPUs (Ray 2.60).
        ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=True, dashboard_host="127.0.0.1", _node_ip_address="127.0.0.1")
        return
    try:
        ray.init(address=address, runtime_env={"working_dir": str(root), "excludes": LEFT_OUT, "env_vars": QUIET | KEEP_MEMORY})
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"no Ray cluster answers at `--address {address}`: {reason}; start one (README, Cluster) or leave `--address` out") from None


def check_storage(storage: Path) -> None:
    """Every node must see the folder that checkpoints go to. Raises ConfigError."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    if len(nodes) < 2:
        return
    marker = storage / f".seen-{uuid.uuid4().hex[:8]}"
    marker.write_text("")
    try:
        sees = ray.remote(num_cpus=0)(os.path.exists)
        seen = [sees.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(str(marker)) for node in nodes]
        blind = len(nodes) - sum(ray.get(seen, timeout=120))
    finally:
        marker.unlink()
    if blind:
        raise ConfigError(f"{blind} of {len(nodes)} nodes do not see {storage}; give a folder that all nodes share with `--storage`")
