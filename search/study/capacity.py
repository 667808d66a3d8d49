"""How many trials the machines hold at a time."""

from __future__ import annotations

from collections.abc import Sequence

import ray

from lssat.errors import ConfigError
from lssat.settings.training import ResourcesConfig


def concurrency(wanted: Sequence[ResourcesConfig], streamed: bool, most: int | None) -> int:
    """Trials at a time: what the machines hold, or less where the space says so. An impossible request is an error at
    once.

    Trials that train alone hold their resources themselves, so Tune counts them; where some have workers of their own,
    no more trials run than fit if each were the largest.
    """
    fits = [_fits(each, streamed) for each in wanted]
    has_groups = any(each.num_workers > 1 for each in wanted)
    return min(min(fits) if has_groups else max(fits), most or max(fits))


def _fits(wanted: ResourcesConfig, streamed: bool) -> int:
    have = ray.cluster_resources()
    cpus = have.get("CPU", 0) - (1 if streamed else 0)  # Ray Data needs a core of its own to decode a stream
    per_trial = {"CPU": wanted.num_workers * wanted.cpus_per_worker, "GPU": wanted.num_workers * wanted.gpus_per_worker}
    fits = int(cpus // per_trial["CPU"])
    if per_trial["GPU"]:
        fits = min(fits, int(have.get("GPU", 0) // per_trial["GPU"]))
    if fits < 1:
        reserve = ", one of them reserved for decoding data that do not fit into memory" if streamed else ""
        raise ConfigError(
            f"a trial needs {per_trial['CPU']} CPUs and {per_trial['GPU']:g} GPUs, but there are "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}{reserve}; lower `resources.num_workers`, "
            "`resources.cpus_per_worker` or `resources.gpus_per_worker`"
        )
    worker = {"CPU": wanted.cpus_per_worker, "GPU": wanted.gpus_per_worker}
    if not any(
        node["Alive"] and all(node["Resources"].get(kind, 0) >= amount for kind, amount in worker.items())
        for node in ray.nodes()
    ):
        raise ConfigError(
            f"a worker needs {worker['CPU']} CPUs and {worker['GPU']:g} GPUs, but no single node has them; lower "
            "`resources.cpus_per_worker`"
        )
    return fits
