"""All machines of a cluster run the same Python and the same versions of what is locked, or the study is not begun."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lssat.errors import ConfigError

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
WITHOUT_LOCK = ("ray", "torch", "torchvision", "timm", "numpy", "pyarrow")
"""What is compared where the project was installed without its lock."""
NUM_NAMED = 3
REPAIR = "give all the same requirements.lock and Python and run `make setup` on each"


def installed(names: Sequence[str]) -> dict[str, str]:
    """The Python of this process, to its last digit, and the version of each package; `none` where it is missing.

    What follows a `+` is left out: it names the build of a version, such as that for CUDA or for CPUs alone.
    """
    found = {"Python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "none"
    return found


def locked(lock: Path = LOCK) -> list[str]:
    """The names of the packages in a file of lines `name==version`."""
    if not lock.exists():
        return list(WITHOUT_LOCK)
    return [line.partition("==")[0].partition("[")[0] for line in lock.read_text().splitlines()]


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """What a machine has otherwise than this process, in words; nothing where that is nothing."""
    names = [name for name in here if there[name] != here[name]]
    said = ", ".join(f"{name} {there[name]} instead of {here[name]}" for name in names[:NUM_NAMED])
    more = len(names) - NUM_NAMED
    return f"{said} and {more} more" if more > 0 else said


def ask(node: str, names: Sequence[str]) -> ray.ObjectRef[dict[str, str]]:
    """What the machine of Ray's id `node` has installed, as `ray.get` will give it."""
    task = ray.remote(num_cpus=0)(installed)
    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(names)


def check(nodes: Mapping[str, str]) -> None:
    """Ask each of `nodes`, addresses by Ray's ids. Raises ConfigError, which names those that differ."""
    names = locked()
    here = installed(names)
    found = zip(nodes.values(), ray.get([ask(node, names) for node in nodes], timeout=120), strict=True)
    other = [f"{address} has {said}" for address, there in found if (said := differences(here, there))]
    if other:
        raise ConfigError(
            f"{len(other)} of {len(nodes)} nodes run other versions than this process: {'; '.join(other)}; {REPAIR}"
        )
