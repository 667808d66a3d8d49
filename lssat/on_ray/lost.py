"""What a group of workers was lost to: its machine, a machine that is drained, memory."""

from __future__ import annotations

from collections.abc import Iterator

from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError

from lssat.on_ray.machine_fault import innermost, machine_fault
from lssat.train.microbatch import is_out_of_memory


class Leaves(Exception):
    """The machine of a worker is about to go, and an epoch has just been saved."""


def is_lost_node(error: BaseException) -> bool:
    """Whether workers were lost with the machine that they were on, which says nothing about the others."""
    return any(isinstance(machine_fault(part), (NodeDiedError, LocalRayletDiedError)) for part in _parts(error))


def is_drained(error: BaseException) -> bool:
    """Whether a group left a machine that is being drained, or lost a worker with one: no death that counts."""
    return any(isinstance(innermost(part), Leaves) or getattr(part, "preempted", False) for part in _parts(error))


def is_lost_to_memory(error: BaseException) -> bool:
    """Whether Ray killed a worker because its machine ran out of memory, or a device had none left.

    A process that was killed without a reason given is not counted.
    """
    return any(isinstance(part, OutOfMemoryError) or is_out_of_memory(part) for part in _parts(error))


def _parts(error: BaseException) -> Iterator[BaseException]:
    """The error of a group, then that of each worker, and why one of them did not answer."""
    yield error
    for part in (*getattr(error, "worker_failures", {}).values(), getattr(error, "health_check_failure", None)):
        if isinstance(part, BaseException):
            yield from _parts(part)
