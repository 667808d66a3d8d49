"""Memory of a step of ViT-B: joint beside supervised, each in a process of its own.

`python -m tests.benchmarks.performance.memory joint` prints the bytes that one of them takes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

import torch

from tests.benchmarks.performance.joint_step import VITS
from tests.benchmarks.performance.machine import device
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Ratio
from tests.benchmarks.performance.trained import Trained

BATCH = 8
STEPS = 2  # the second has AdamW's numbers beside it
PROSE = (
    "Peak of two steps of ViT-B with AdamW, joint over supervised, a process each. On a CPU: resident memory above "
    "that after the imports; on a GPU: `torch.cuda.max_memory_allocated`."
)


def sections(effort: Effort) -> Iterator[Section]:
    """One row; left out of a quick look, as memory does not vary."""
    if effort.quick:
        return
    joint, supervised = (_in_a_process(kind) for kind in ("joint", "supervised"))
    value = joint / supervised
    row = Row("ViT-B: memory, joint / supervised", Ratio(value, value, value, 1), Aim("at most", 1.5))
    table = [("step", "GB"), ("joint", f"{joint / 1e9:.2f}"), ("supervised", f"{supervised / 1e9:.2f}")]
    yield Section("Memory", PROSE, [row], table)


def peak_bytes(auxiliary: bool) -> int:
    """What two steps take in this process, which has done nothing else."""
    before = _resident_peak()
    settings = {**VITS[-1].settings("float32"), "auxiliary": auxiliary}
    trained = Trained.of(settings if device().type == "cuda" else {**settings, "optim.batch_size": BATCH})
    for _ in range(STEPS):
        trained.step()
    return torch.cuda.max_memory_allocated() if device().type == "cuda" else _resident_peak() - before


def _in_a_process(kind: str) -> int:
    command = [sys.executable, "-m", "tests.benchmarks.performance.memory", kind]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _resident_peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(peak_bytes(sys.argv[1] == "joint"))
