"""How many micro-batches a batch is processed in: found where the memory is, kept in the run's folder, doubled where it
does not suffice.

Gradients accumulate over the micro-batches, so that the batch stays what `optim.batch_size` says; batch norm sees one
micro-batch at a time.
"""

from __future__ import annotations

import gc
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from lssat.config import Config
from lssat.files import write_json

TWO_ROWS = "two rows, which batch norm needs,"
FILE = "micro_batches.json"
Kills = dict[str, int]
Step = Callable[[int], None]


class DoesNotFit(RuntimeError):
    """One row at a time (two with mixup) needs more memory than there is."""


def cut(config: Config, rows: int, number: int) -> list[slice]:
    """The rows of each micro-batch of so many rows; they differ by one row at most, with mixup by one pair."""
    unit = _unit(config)
    bounds = [rows // unit * part // number * unit for part in range(number + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(bounds)]


def doubled(config: Config, number: int) -> int:
    """Twice as many micro-batches, of one row where that is more. Raises DoesNotFit where they have one row each
    already.
    """
    return _allowed(config, 2 * number)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the device, or this process's own allocator, refused an allocation."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def is_starved(error: BaseException) -> bool:
    """Whether batch norm refused a micro-batch of one row whose maps are one pixel wide."""
    return isinstance(error, ValueError) and "more than 1 value per channel" in str(error)


def too_large(config: Config, least: str) -> DoesNotFit:
    """The error that says that a micro-batch of `least` needs more memory than there is."""
    return DoesNotFit(
        f"a micro-batch of {least} must fit into memory, but does not with `data.image_size` "
        f"{config.data.image_size}, `optim.batch_size` {config.optim.batch_size} and this backbone; take a smaller "
        "`data.image_size`, `optim.batch_size` or backbone, or a device with more memory"
    )


def release(device: torch.device) -> None:
    """Give back what a failed step has left behind, and what the allocator keeps."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def begin(folder: Path | None, config: Config, kills: Kills) -> int:
    """The number with which an attempt at a run begins: `optim.accumulate`, or what an earlier attempt came to.

    `kills` is `memory_kills()` of all workers. Where the system killed for memory since an attempt began that never
    ended, the number is doubled. Raises DoesNotFit.
    """
    kept = _read(folder) if folder else None
    if kept is None:
        return config.optim.accumulate
    number, before = kept
    killed = any(count > before.get(place, count) for place, count in kills.items())
    return _allowed(config, number * (2 if killed else 1))


def keep(folder: Path, number: int, kills: Kills) -> None:
    """Write down the number in use. `kills`: the counts as the attempt begins."""
    write_json(folder / FILE, {"micro_batches": number, "memory_kills": kills})


def end(folder: Path) -> None:
    """An attempt has ended by itself, so nobody killed it."""
    if kept := _read(folder):
        keep(folder, kept[0], {})


def halve(folder: Path, config: Config) -> None:
    """Let the next attempt at the run in `folder` take micro-batches of half the rows: its process was killed for
    memory.

    That attempt raises DoesNotFit where they had one row each already.
    """
    kept = _read(folder)
    keep(folder, 2 * (kept[0] if kept else config.optim.accumulate), {})


def memory_kills() -> Kills:
    """Where this process runs -> processes that the system has killed there for memory: in its control group, or on the
    whole machine.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    machine = boot.read_text().strip() if boot.exists() else ""
    for path in (_control_group() / "memory.events", Path("/proc/vmstat")):
        try:
            counts = dict(line.split() for line in path.read_text().splitlines())
        except OSError:
            continue
        if "oom_kill" in counts:
            return {f"{machine}:{path}": int(counts["oom_kill"])}
    return {}


def probe(
    step: Step, model: nn.Module, optimizer: torch.optim.Optimizer, config: Config, device: torch.device, number: int
) -> int:
    """The fewest micro-batches, at least `number`, with which `step(micro-batches)`, a forward and backward pass, fits
    into the device.

    Held meanwhile are what AdamW will need, two numbers per weight, and the buckets of DistributedDataParallel, one
    more. Weights, buffers, random state and gradients are as before afterwards. Raises DoesNotFit.
    """
    copies = (0 if optimizer.state else 2) + (1 if config.resources.num_workers > 1 else 0)
    while True:
        failed, held = False, []
        try:
            with _undone(model, device):
                held = [
                    torch.empty_like(weight)
                    for weight in model.parameters()
                    if weight.requires_grad
                    for _ in range(copies)
                ]
                step(number)
        except (RuntimeError, ValueError) as error:
            if is_starved(error) and number > config.optim.accumulate:
                raise too_large(config, TWO_ROWS) from error
            if not is_out_of_memory(error):
                raise
            failed = True
        held.clear()
        release(device)
        if not failed:
            return number
        number = doubled(config, number)


@contextmanager
def _undone(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Within, random numbers are drawn, buffers move and gradients gather; afterwards nothing of it is left."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for parameter in model.parameters():
            parameter.grad = None


def _unit(config: Config) -> int:
    """Rows that stay together: the pairs of mixup."""
    return 2 if config.augment.mixup else 1


def _allowed(config: Config, number: int) -> int:
    most = config.optim.batch_size // config.resources.num_workers // _unit(config)
    if number < 2 * most:
        return min(number, most)
    raise too_large(config, "two rows, a pair of mixup," if config.augment.mixup else "one row")


def _read(folder: Path) -> tuple[int, Kills] | None:
    path = folder / FILE
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    return kept["micro_batches"], kept["memory_kills"]


def _control_group() -> Path:
    """The folder of this process's control group (version 2)."""
    groups = Path("/proc/self/cgroup")
    lines = groups.read_text().splitlines() if groups.exists() else []
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    return Path("/sys/fs/cgroup") / path.lstrip("/")
