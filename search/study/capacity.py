"""How many trials the machines hold at a time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply
from ray.experimental.internal_kv import _internal_kv_get, internal_kv_get_gcs_client

from lssat.errors import ConfigError
from lssat.on_ray.groups import places
from lssat.settings.training import ResourcesConfig


def check_possible(wanted: Sequence[ResourcesConfig], streamed: bool, may_wait: bool = False) -> None:
    """An impossible request is an error at once, except where a trial `may_wait` for machines that are not there: those
    that Ray may add, or that have left since the study began. Raises ConfigError.
    """
    if any(each.num_workers > 1 for each in wanted) and not ray._private.worker._global_node.webui_url:
        raise ConfigError(
            "`resources.num_workers` above 1 needs the dashboard of the cluster's head, by which Ray Train gives back "
            "the CPUs of a trial that is over; start the head with `--include-dashboard=true "
            "--dashboard-host=127.0.0.1`"
        )
    if not (may_wait or grows()):
        for each in wanted:
            _check_possible(each, streamed)


@dataclass
class Following:
    """The same of a cluster as it is now: machines that join are used, those that have left are not waited for.

    One trial more than it holds waits for its place, so that a machine that joins has one at once; on a cluster that
    Ray makes larger by itself, as many again as it holds, for what waits is what Ray makes it larger for. Of trials
    with several workers none waits: it would hold its process meanwhile, and give up after some minutes. Where data are
    streamed none waits either: it would take the core that decodes them, and all would wait for each other.
    """

    wanted: Sequence[ResourcesConfig]
    streamed: bool
    most: int | None
    _looked: float = 0.0
    _found: int = 0

    def __call__(self) -> int:
        """Trials that may run or wait for their place."""
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            fits = max(0, at_once(self.wanted, self.streamed, None))
            none_waits = self.streamed or any(each.num_workers > 1 for each in self.wanted)
            waiting = 0 if none_waits else max(1, fits) if grows() else 1
            self._looked, self._found = time.monotonic(), min(max(1, fits + waiting), self.most or sys.maxsize)
        return self._found


LOOK_EVERY_S = 2.0


def grows() -> bool:
    """Whether Ray adds machines to this cluster by itself: those of other clusters are of no named type, or all there
    from the beginning (`local.cluster`). Ray has two autoscalers, of which `ray up` starts the second (Ray 2.60).
    """
    first = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or b"{}")
    types = set(first.get("autoscaler_report", {}).get("active_nodes", {}))
    second = GetClusterStatusReply()
    second.ParseFromString(internal_kv_get_gcs_client().get_cluster_status())
    if second.autoscaling_state.autoscaler_state_version:
        types |= {node.ray_node_type_name for node in second.cluster_resource_state.node_states}
    return any(name and not name.startswith(("node_", "local.cluster")) for name in types)


def at_once(wanted: Sequence[ResourcesConfig], streamed: bool, most: int | None) -> int:
    """Trials at a time: what the machines hold, or less where the space says so.

    Trials that train alone hold their resources themselves, so Tune counts them; where some have workers of their own,
    no more trials run than fit if each were the largest.
    """
    fits = [_fits(each, streamed) for each in wanted]
    has_groups = any(each.num_workers > 1 for each in wanted)
    return min(min(fits) if has_groups else max(fits), most or max(fits))


def _fits(wanted: ResourcesConfig, streamed: bool) -> int:
    have, per_trial = ray.cluster_resources(), _per_trial(wanted)
    cpus = have.get("CPU", 0) - (1 if streamed else 0)  # Ray Data needs a core of its own to decode a stream
    return min(int(cpus // per_trial["CPU"]), places(wanted) // wanted.num_workers)


def _per_trial(wanted: ResourcesConfig) -> dict[str, float]:
    return {"CPU": wanted.num_workers * wanted.cpus_per_worker, "GPU": wanted.num_workers * wanted.gpus_per_worker}


def _check_possible(wanted: ResourcesConfig, streamed: bool) -> None:
    have, per_trial = ray.cluster_resources(), _per_trial(wanted)
    if not places(wanted):
        raise ConfigError(
            f"a worker needs {wanted.cpus_per_worker} CPUs and {wanted.gpus_per_worker:g} GPUs, but no single node has "
            "them; lower `resources.cpus_per_worker` or `resources.gpus_per_worker`"
        )
    if _fits(wanted, streamed) < 1:
        reserve = ", one of them reserved for decoding data that do not fit into memory" if streamed else ""
        raise ConfigError(
            f"a trial needs {per_trial['CPU']} CPUs and {per_trial['GPU']:g} GPUs, {wanted.cpus_per_worker} and "
            f"{wanted.gpus_per_worker:g} of one node for each worker, but there are {have.get('CPU', 0):g} and "
            f"{have.get('GPU', 0):g}{reserve}; lower `resources.num_workers`, `resources.cpus_per_worker` or "
            "`resources.gpus_per_worker`"
        )
