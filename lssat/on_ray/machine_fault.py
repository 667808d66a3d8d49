"""Errors that the machine is to blame for, and not the configuration that ran on it: a full disk, a lost mount, a lost
device. They say nothing about a configuration, which would train well elsewhere.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator

from ray import exceptions as ray
from ray.tune import TuneError

from lssat.errors import UserError

FAULTS = (
    OSError,
    sqlite3.OperationalError,  # of Optuna's study: "disk I/O error", "database or disk is full"
    ray.LocalRayletDiedError,
    ray.NodeDiedError,
    ray.ObjectLostError,
    ray.ObjectStoreFullError,
    ray.OutOfDiskError,
    ray.RaySystemError,
    ray.RuntimeEnvSetupError,
)
FULL = "make room there"
REPAIRS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: "mount it for writing",
    errno.EACCES: "give this user the right to write there",
    errno.EIO: "see to the disk or the mount",
    errno.ESTALE: "mount it again",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENODEV: "see to the device and its driver",
}
"""What a person does about it, by the number of the error."""


class MachineFailed(Exception):
    """The machine failed while a study ran. The message says how, and what to do about it."""


def machine_fault(error: BaseException) -> BaseException | None:
    """The fault of the machine that an error comes from; None where it comes from something else."""
    return next((each for each in _causes(error) if isinstance(each, FAULTS)), None)


def machine_failed(error: BaseException) -> MachineFailed | None:
    """What to tell a person of an error that comes from a fault of the machine; None where it does not."""
    if isinstance(error, MachineFailed):
        return error
    fault = machine_fault(error)
    return MachineFailed(with_repair(fault)) if fault else None


def with_repair(fault: BaseException) -> str:
    """A fault in one line, with what to do about it."""
    repair = REPAIRS.get(getattr(fault, "errno", None) or 0)
    return "; ".join(filter(None, [reason_of(fault), repair]))


def innermost(error: BaseException) -> BaseException:
    """The cause that Ray wrapped."""
    wrapped = next(_wrapped(error), None)
    return innermost(wrapped) if wrapped else error


def reason_of(error: BaseException) -> str:
    """One line that says why."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1] if lines[0].startswith("Traceback") else f"{type(error).__name__}: {lines[0]}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it, the error first. What a person can repair is its own cause."""
    yield error
    if isinstance(error, UserError):
        return
    causes = [*_wrapped(error), error.__cause__]
    if isinstance(error, TuneError):  # made of a traceback's text while the error itself was handled
        causes.append(error.__context__)
    for cause in filter(None, causes):
        yield from _causes(cause)


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """The errors that Ray carries inside an error of its own."""
    causes = [*getattr(error, "worker_failures", {}).values(), getattr(error, "cause", None)]
    return (cause for cause in causes if isinstance(cause, BaseException))
