"""Ray, here or on a cluster that is already up; and the storage that its nodes share."""

from __future__ import annotations

import os
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import ray
from ray._common.utils import get_default_system_temp_dir
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lssat.errors import ConfigError
from lssat.on_ray import driver, job, same_environment
from lssat.on_ray.machine_fault import MachineFailed
from lssat.storage.place import Place

PACKAGES = ("lssat", "search")
"""What a cluster is sent: all that its processes import, and nothing else that lies in the clone."""
QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_COLOR_PREFIX": "0",  # what processes say goes to a file
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more for each trial with workers, which ask themselves
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",  # how late an epoch, or the end, of a trial with workers is heard of
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONIOENCODING": ":backslashreplace",  # a name that is no text must not end a process that prints it
    # a reused actor waits this long for its last trial to leave: an epoch may be slow
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
}
# glibc gives large tensors back to the kernel at once, and taking them anew costs a fifth of a step on a CPU (measured)
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
}


LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Makes Ray take 127.0.0.1 for the address of this machine, so that nothing listens elsewhere; without it
`_node_ip_address` is replaced by an outer address (Ray 2.60).
"""


SOCKETS = {
    "processes that prepare data": (tempfile.gettempdir, "pymp-00000000/listener-00000000"),
    "Ray": (get_default_system_temp_dir, "ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"),
}
"""Who needs sockets, in which folder for temporary files, and the longest name that they get there."""
ANSWERS_WITHIN_S = 30.0
"""For how long a storage that does not answer is asked before a study begins."""
LONGEST_SOCKET = 107
"""Bytes of a socket's path: Linux takes no more."""


def check_sockets(address: str | None) -> None:
    """Raises ConfigError where the folder for temporary files is too deep for the sockets that will be opened there."""
    for who, (folder, name) in SOCKETS.items():
        too_long = len(os.fsencode(Path(folder(), name))) - LONGEST_SOCKET
        if too_long > 0 and (who != "Ray" or address is None):
            raise ConfigError(
                f"the folder for temporary files, {folder()}, is {too_long} bytes too long for the sockets of {who}; "
                "set TMPDIR to a shorter one, such as /tmp"
            )


@contextmanager
def begun(address: str | None, root: Path) -> Iterator[None]:
    """Ray starts on this machine beside what its driver imports and prepares inside, where no cluster is to be joined.
    No Ray is left at the end.

    Raises ConfigError.
    """
    check_sockets(address)
    os.environ.update(QUIET | KEEP_MEMORY)
    if address is None:
        driver.begin(partial(_start_here_or_again, root))
    try:
        yield
    finally:
        driver.stop()


def connect(address: str | None, root: Path) -> None:
    """Join the cluster at `address`, or start Ray on this machine, if it has not begun. Raises ConfigError,
    MachineFailed.

    Every process is told the address of its own Ray. Ray Train's cleaner, which gives back the CPUs of a trial with
    several workers that ASHA stops, would otherwise look for one, and fail where two run on a machine: the study would
    wait for those CPUs for ever (Ray 2.60). The cleaner asks the dashboard, so that stays on as well.
    """
    os.environ.update(QUIET | KEEP_MEMORY)
    if address is None:
        return driver.wait_until_up(partial(_start_here_or_again, root))
    if address == "auto":
        address = _look(address)[0]
    own = {
        "py_modules": [str(root / package) for package in PACKAGES],
        "excludes": ["**/__pycache__"],
        "env_vars": QUIET | KEEP_MEMORY | {"RAY_ADDRESS": address},
    }
    _join(address, job.beside(own, root))
    same_environment.check(other_nodes())


def _start_here_or_again(root: Path) -> None:
    """Raises ConfigError, MachineFailed."""
    for is_last in (False, True):
        try:
            return _start_here(root)
        except Exception as error:
            if not driver.is_late(error):
                raise
            if is_last:
                raise MachineFailed(
                    "Ray was not up within 30 s, twice; this machine is too busy, or short of memory: try again when "
                    "it is less so"
                ) from None


def _start_here(root: Path) -> None:
    """Raises ConfigError where it cannot."""
    port = str(_free_port())
    paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(LOOPBACK | {"PYTHONPATH": paths, "RAY_GCS_SERVER_PORT": port, "RAY_ADDRESS": f"127.0.0.1:{port}"})
    ray_constants.ENABLE_RAY_CLUSTER = (
        False  # what this process has read when it imported Ray; its children read LOOPBACK
    )
    try:
        driver.start(
            "local",
            num_cpus=joblib.cpu_count(),  # that this process may use: affinity and a container's quota count
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            _node_ip_address="127.0.0.1",
        )
    except OSError as error:
        raise ConfigError(
            f"Ray cannot start in the folder for temporary files: {error}; set TMPDIR to another one"
        ) from None


def has_gpus(address: str) -> bool:
    """Whether the cluster at `address` has any. Raises ConfigError."""
    return _look(address)[1] > 0


def _look(address: str) -> tuple[str, float]:
    """The address of a cluster that is up, `auto` found out, and the number of its GPUs."""
    _join(address)
    try:
        return str(ray.get_runtime_context().gcs_address), ray.cluster_resources().get("GPU", 0)
    finally:
        driver.stop()


def _join(address: str, runtime_env: dict[str, Any] | None = None) -> None:
    try:
        driver.start(address, runtime_env=runtime_env, log_to_driver=runtime_env is not None)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(why_not_joined(address, error)) from None


def why_not_joined(address: str, error: Exception) -> str:
    """What Ray says of a cluster that cannot be joined, and what to do about it."""
    if str(error).startswith("Version mismatch"):
        return (
            f"the cluster at `--address {address}` has other versions: {' '.join(str(error).split())}; all machines "
            "need the same, so run `make setup` on each with one version of Python, to its last digit"
        )
    reason = str(error).strip().splitlines()[0]
    repair = "start one (docs/cluster.md), set RAY_AUTH_MODE=token if it demands a token, or leave `--address` out"
    return f"no Ray cluster answers at `--address {address}`: {reason}; {repair}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def other_nodes() -> dict[str, str]:
    """The addresses of the nodes that run trials, but for the one of this process, by their ids."""
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    here = ray.get_runtime_context().get_node_id()
    return {node["NodeID"]: node["NodeManagerAddress"] for node in alive if node["NodeID"] != here}


def check_storage(storage: Place) -> None:
    """Every node must be able to write to the place that checkpoints go to, and see what the others write.

    Raises ConfigError, StorageLost.
    """
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in alive}
    if nodes.keys() <= {ray.get_runtime_context().get_node_id()}:
        return
    probe = replace(storage, patience_s=ANSWERS_WITHIN_S) / f".seen-{uuid.uuid4().hex[:8]}"
    probe.make()
    try:
        problems = _on_each(nodes, write_probe, probe) or _on_each(nodes, look_for_probes, probe)
    finally:
        probe.delete()
    if problems:
        node, problem = next(iter(problems.items()))
        raise ConfigError(
            f"{len(problems)} of {len(nodes)} nodes cannot use {storage} ({nodes[node]}: {problem}); give a folder "
            "that all nodes share and may write to with `--storage`, or a URL such as s3://bucket/path"
        )


def check_url(storage: Place) -> None:
    """Write to a URL and read it again, before anything long begins.

    Raises ConfigError, StorageRefuses, StorageLost.
    """
    probe = replace(storage, patience_s=ANSWERS_WITHIN_S) / f".seen-{uuid.uuid4().hex[:8]}"
    probe.write(b"seen")
    probe.read()
    probe.delete()


def write_probe(probe: Place, node: str, nodes: list[str]) -> str:
    """On a node: what keeps it from writing to a folder; nothing if it can."""
    try:
        if probe.local:
            (probe.local / node).write_text(node)  # makes no folder where none is mounted
        else:
            (probe / node).write(node.encode())
    except OSError as error:
        return f"it cannot write there: {error.strerror or error}"
    return ""


def look_for_probes(probe: Place, node: str, nodes: list[str]) -> str:
    """On a node: of how many nodes it does not see what they have written; nothing if it sees all."""
    unseen = len({*nodes} - probe.sizes().keys())
    return f"it does not see what {unseen} nodes write" if unseen else ""


def _on_each(nodes: Mapping[str, str], look: Callable[..., str], probe: Place) -> dict[str, str]:
    """What the nodes that have a problem say."""
    remote = ray.remote(num_cpus=0)(look)
    answers = [
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            probe, node, list(nodes)
        )
        for node in nodes
    ]
    return {node: said for node, said in zip(nodes, ray.get(answers, timeout=120), strict=True) if said}
