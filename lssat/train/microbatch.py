"""How many micro-batches a batch is processed in: found where the memory is, kept in the run's folder, doubled where it
does not suffice.

Gradients accumulate over the micro-batches, so that the batch stays what `optim.batch_size` says; batch norm sees one
micro-batch at a time.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from lssat.config import Config
from lssat.files import make_folder, write_json
from lssat.storage.place import Place
from lssat.storage.working import working_folder
from lssat.train.distributed import Distributed

TWO_ROWS = "two rows, which batch norm needs,"
FILE = "micro_batches.json"
Kills = dict[str, int]
"""Machine and control group -> processes that the system has killed there because memory ran out."""


class DoesNotFit(RuntimeError):
    """One row at a time (two with mixup) needs more memory than there is."""


def cut(config: Config, num_rows: int, size: int, num_micro_batches: int) -> list[slice]:
    """The rows of each micro-batch. They differ by one row at most, with mixup by one pair.

    A batch of `size` rows is cut into `num_micro_batches`; one of fewer rows into as few as are no larger than those.
    """
    unit = _unit(config)
    num_units = -(-num_rows // unit)
    num_parts = -(-num_units * num_micro_batches // (size // unit))
    bounds = [num_units * part // max(1, num_parts) * unit for part in range(num_parts + 1)]
    return [slice(start, min(end, num_rows)) for start, end in itertools.pairwise(bounds)]


def num_masked(config: Config, num_rows: int) -> int:
    """How many of a micro-batch's rows, the first, the masked pass sees: `masking.share` of them, rounded up."""
    rounded = math.ceil(config.masking.share * num_rows - 1e-9)  # 0.1 of 30 is a little more than 3
    return min(num_rows, max(1, rounded))


def doubled(config: Config, num_micro_batches: int) -> int:
    """Twice as many, or micro-batches of one row where that is fewer. Raises DoesNotFit where they have one already."""
    return _allowed(config, 2 * num_micro_batches)


def agreed(distributed: Distributed, find: Callable[[], int]) -> int:
    """The most micro-batches that `find` gives any worker, on all. An error of any worker is raised on all, of several
    that of the lowest rank: a worker that left alone would keep the others waiting.
    """
    found: int | Exception
    try:
        found = find()
    except Exception as error:
        found = error
    answers: list[int | Exception] = distributed.gather(_sendable(found) if distributed.world_size > 1 else found)
    if raised := next((answer for answer in answers if isinstance(answer, Exception)), None):
        own = found if isinstance(found, Exception) and found is not raised else raised.__cause__
        raise raised from own
    return max(answer for answer in answers if isinstance(answer, int))


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the device, or this process's own allocator, refused an allocation."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def lacks_rows(error: BaseException) -> bool:
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
    """The micro-batches with which an attempt at a run begins: `optim.accumulate`, or what an earlier attempt came to.

    `kills`: `memory_kills()` of all workers. Twice as many are taken where an earlier attempt never said that it ended
    and the system has killed a process for memory since it began: it is taken for that process. Raises DoesNotFit.
    """
    kept = _read(folder) if folder else None
    if kept is None:
        return config.optim.accumulate
    num_micro_batches, before = kept
    killed = any(count > before.get(where, count) for where, count in kills.items())
    return _allowed(config, num_micro_batches * (2 if killed else 1))


@dataclass(frozen=True)
class AttemptRecord:
    """What an attempt at a run leaves to the next one, in the run's folder; with None for a folder, nothing.

    `kills`: `memory_kills()` of all workers as the attempt began. `kept`: where the folder is kept, if not here.
    """

    folder: Path | None
    kills: Kills
    kept: Place | None = None

    def keep(self, num_micro_batches: int) -> None:
        """Write down in how many micro-batches a batch is processed now."""
        if self.folder:
            write_json(self.folder / FILE, {"micro_batches": num_micro_batches, "memory_kills": self.kills})
            if self.kept:
                (self.kept / FILE).write((self.folder / FILE).read_bytes())

    def end(self) -> None:
        """Write down that the attempt has ended by itself: no later kill on the machine is taken for its end."""
        if self.folder and (kept := _read(self.folder)):
            AttemptRecord(self.folder, {}, self.kept).keep(kept[0])


def fetch(kept: Place, folder: Path) -> None:
    """Bring what an earlier attempt left to this machine. Raises OSError."""
    with suppress(FileNotFoundError):
        (kept / FILE).fetch(folder / FILE)


def begin_with(place: Place, num_micro_batches: int) -> None:
    """Let the next attempt at the run in `place` begin with so many. Raises OSError."""
    with working_folder(place) as folder:
        make_folder(folder)
        AttemptRecord(folder, {}, None if place.local else place).keep(num_micro_batches)


def halve_rows(place: Place, config: Config) -> None:
    """Let the next attempt at the run in `place` take micro-batches of half the rows: its process was killed for
    memory.

    That attempt raises DoesNotFit where they had one row each already.
    """
    with working_folder(place) as folder:
        if place.local is None:
            fetch(place, folder)
        kept = _read(folder)
    begin_with(place, 2 * (kept[0] if kept else config.optim.accumulate))


def memory_kills() -> Kills:
    """How many processes the system has killed for memory in this process's control group or, where Linux does not
    count those, on the whole machine. Empty where neither is known.
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


def _sendable(found: int | Exception) -> int | Exception:
    """What was found or, of an error that does not survive being sent, its type and message."""
    try:
        pickle.loads(pickle.dumps(found))
    except Exception:  # libraries' errors fail in many ways
        return RuntimeError(f"{type(found).__name__}: {found}")
    return found


def _unit(config: Config) -> int:
    """Rows that stay together: the pairs of mixup."""
    return 2 if config.augment.mixup else 1


def _allowed(config: Config, num_micro_batches: int) -> int:
    """The same number, or one micro-batch per row (per pair with mixup) where that is fewer.

    Raises DoesNotFit for twice as many as that: each had one row already when the number was doubled.
    """
    most = config.optim.batch_size // config.resources.num_workers // _unit(config)
    if num_micro_batches < 2 * most:
        return min(num_micro_batches, most)
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
