"""What the trials of each backbone of a space take: memory, and time for an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lssat.command import Notify
from lssat.config import Config
from lssat.model import catalog
from search.plan.data import DataEstimate
from search.plan.machine import Machine

if TYPE_CHECKING:
    from search.plan.rates import Rate

RUNTIME_BYTES = 400 << 20
"""Of a worker's Python and torch, measured; a CUDA context is about as large."""
FEWEST_ROWS = 2
"""Of a micro-batch: batch norm needs two."""


@dataclass(frozen=True)
class BackboneEstimate:
    """What the trials of one backbone take.

    `num_concurrent`: trials that the machine has CPUs and GPUs for, 0 for none. `num_micro_batches`: the fewest with
    which a worker has room, 0 where it has room with none. `memory` and `available`: bytes of one worker, and bytes
    that it may have. `seconds_per_epoch`: None where it could not be measured here. `cpu_share`: see `rates.Rate`.
    """

    name: str
    size: str
    num_parameters: int
    num_workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    num_concurrent: int
    num_micro_batches: int
    memory: int
    available: int
    seconds_per_epoch: float | None = None
    cpu_share: float = 1.0

    @property
    def runs_here(self) -> bool:
        """Whether the machine can train it."""
        return self.num_concurrent > 0 and self.num_micro_batches > 0


def estimate_backbones(
    configs: Sequence[Config], data: DataEstimate, machine: Machine, seconds: float, notify: Notify
) -> tuple[BackboneEstimate, ...]:
    """The backbones of some configurations, small ones first. Measuring takes about `seconds` in all.

    Raises ConfigError for backbones that cannot be.
    """
    found = [(config, _with_room(config, data, machine)) for config in configs]
    found.sort(key=lambda pair: pair[1].num_parameters)
    rate = _rate_by_parameters(found, data, seconds, notify)
    return tuple(_timed(backbone, config, data, rate) for config, backbone in found)


def _with_room(config: Config, data: DataEstimate, machine: Machine) -> BackboneEstimate:
    """A backbone with the fewest micro-batches with which its worker has room."""
    from search.plan.footprint import footprint

    resources, num_micro_batches = config.resources, config.optim.accumulate
    num_concurrent = _num_concurrent(config, machine)
    available = _available(config, data, machine, max(1, num_concurrent))
    rows_per_worker = config.optim.batch_size // resources.num_workers
    needed = footprint(config, data.num_outputs, num_micro_batches)
    while (
        num_concurrent
        and RUNTIME_BYTES + needed.total > available
        and 2 * num_micro_batches * FEWEST_ROWS <= rows_per_worker
    ):
        num_micro_batches *= 2
        needed = footprint(config, data.num_outputs, num_micro_batches)
    return BackboneEstimate(
        name=catalog.architecture(config.backbone),
        size=catalog.size_of(needed.parameters) if config.backbone.name else config.backbone.size,
        num_parameters=needed.parameters,
        num_workers=resources.num_workers,
        cpus_per_worker=resources.cpus_per_worker,
        gpus_per_worker=resources.gpus_per_worker,
        num_concurrent=num_concurrent,
        num_micro_batches=num_micro_batches if RUNTIME_BYTES + needed.total <= available else 0,
        memory=RUNTIME_BYTES + needed.total,
        available=available,
    )


def _num_concurrent(config: Config, machine: Machine) -> int:
    """Trials that the machine has CPUs and GPUs for at once."""
    resources = config.resources
    by_cpus = machine.cpus // (resources.num_workers * resources.cpus_per_worker)
    if not resources.gpus_per_worker:
        return by_cpus
    return min(by_cpus, int(machine.gpus // (resources.num_workers * resources.gpus_per_worker)))


def _available(config: Config, data: DataEstimate, machine: Machine, num_concurrent: int) -> int:
    """Bytes that one worker may have: its share of a GPU, or of the memory that the decoded images leave."""
    if config.resources.gpus_per_worker:
        return int(machine.gpu_memory * min(1.0, config.resources.gpus_per_worker))
    decoded = (data.rows["train"] + data.rows["val"]) * 3 * config.data.image_size**2
    return max(0, machine.memory - decoded) // (num_concurrent * config.resources.num_workers)


def _rate_by_parameters(
    found: Sequence[tuple[Config, BackboneEstimate]], data: DataEstimate, seconds: float, notify: Notify
) -> Callable[[int], Rate] | None:
    """Number of parameters -> images per second of one worker, from the smallest and the largest backbone that can run
    here; None where none can.
    """
    from search.plan.rates import between, measure

    runnable = [(config, backbone) for config, backbone in found if backbone.runs_here]
    if not runnable:
        return None
    measured = []
    for config, backbone in [runnable[0], runnable[-1]] if len(runnable) > 1 else runnable:
        notify(f"measuring {backbone.name}")
        measured.append((backbone.num_parameters, measure(config, data.num_outputs, seconds / 2)))
    return lambda num_parameters: between(measured[0], measured[-1], num_parameters)


def _timed(
    backbone: BackboneEstimate, config: Config, data: DataEstimate, rate: Callable[[int], Rate] | None
) -> BackboneEstimate:
    if rate is None or not backbone.runs_here:
        return backbone
    of_worker = rate(backbone.num_parameters)
    train_seconds = data.rows["train"] * config.data.train_fraction / of_worker.train
    val_seconds = data.rows["val"] / of_worker.evaluate
    seconds = (train_seconds + val_seconds) / backbone.num_workers
    return replace(backbone, seconds_per_epoch=seconds, cpu_share=of_worker.share)
