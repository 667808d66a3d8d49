"""Memory of a step of ViT-B: joint beside supervised, and with activation checkpointing, each in a process of its own.

`python -m tests.benchmarks.performance.memory joint` prints the bytes that one of them takes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.performance.joint_step import VITS
from tests.benchmarks.performance.machine import device
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Ratio
from tests.benchmarks.performance.trained import Trained

BATCH = 8
KINDS: dict[str, dict[str, Any]] = {
    "joint": {},
    "supervised": {"auxiliary": False},
    "joint, checkpointed": {"resources.activation_checkpointing": True},
}
STATUS = Path("/proc/self/status")
STEPS = 2  # the second has AdamW's numbers beside it
PROSE = (
    "Peak of two steps of ViT-B with AdamW, a process each: joint over supervised, and joint with activation "
    "checkpointing (`resources.activation_checkpointing`) over joint without. On a CPU: resident memory above "
    "that after the imports; on a GPU: `torch.cuda.max_memory_allocated`."
)


def sections(effort: Effort) -> Iterator[Section]:
    """Two rows; left out of a quick look, as memory does not vary."""
    if effort.quick:
        return
    taken = {kind: _in_a_process(kind) for kind in KINDS}
    rows = [
        _row("ViT-B: memory, joint / supervised", taken["joint"] / taken["supervised"], 1.5),
        _row("ViT-B: memory, joint checkpointed / joint", taken["joint, checkpointed"] / taken["joint"], 1.0),
    ]
    table = [("step", "GB"), *((kind, f"{size / 1e9:.2f}") for kind, size in taken.items())]
    yield Section("Memory", PROSE, rows, table)


def _row(name: str, value: float, at_most: float) -> Row:
    return Row(name, Ratio(value, value, value, 1), Aim("at most", at_most))


def peak_bytes(kind: str) -> int:
    """What two steps take in this process, which has done nothing else."""
    before = _resident_peak()
    settings = {**VITS[-1].settings("float32"), **KINDS[kind]}
    trained = Trained.of(settings if device().type == "cuda" else {**settings, "optim.batch_size": BATCH})
    for _ in range(STEPS):
        trained.step()
    return torch.cuda.max_memory_allocated() if device().type == "cuda" else _resident_peak() - before


def _in_a_process(kind: str) -> int:
    command = [sys.executable, "-m", "tests.benchmarks.performance.memory", kind]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _resident_peak() -> int:
    """Bytes. Linux's `ru_maxrss` begins with that of the process that began this one, so its own mark is read there."""
    if STATUS.exists():
        marks = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(marks["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(peak_bytes(sys.argv[1]))
