"""The machine that a study is planned for."""

from __future__ import annotations

import os
from dataclasses import dataclass

BUSY = 0.85
"""Share of the time on the clock that a thread which only computes gets of a CPU; below it, the machine is busy with
something else.
"""


@dataclass(frozen=True)
class Machine:
    """What there is to run on. Memory in bytes; `gpu_memory` of the smallest GPU, 0 without one."""

    cpus: int
    memory: int
    gpus: int
    gpu_memory: int


def this_machine() -> Machine:
    """The machine that this process runs on, with the CPUs that it may use."""
    import joblib
    import torch

    gpus = torch.cuda.device_count()
    gpu_memories = [torch.cuda.get_device_properties(index).total_memory for index in range(gpus)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(joblib.cpu_count(), memory, gpus, min(gpu_memories, default=0))
