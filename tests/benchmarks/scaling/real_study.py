"""A real study of many short trials under Ray: what its processes take while it goes on, seen from outside."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.performance.turnover import ONE_EPOCH, command, noise_table, run_folder
from tests.benchmarks.scaling.case import resident_bytes

MOMENTS = 8
"""How often is looked."""


def measured(trials: int) -> dict[str, Any]:
    """What the study took in all, and `moments`, after each eighth of its trials."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, began = Path(temporary), time.monotonic()
        words = command(folder, noise_table(folder), "--num-trials", str(trials), *ONE_EPOCH)
        driver = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        moments: list[dict[str, int]] = []
        while driver.poll() is None:
            over = sum(1 for _ in (run_folder(folder).path / "trials").glob("*/outcome.json"))
            if len(moments) < MOMENTS and over >= trials * (len(moments) + 1) // (MOMENTS + 1):
                moments.append({"over": over, **_taken(driver.pid)})
            time.sleep(2)
        if driver.returncode:
            raise RuntimeError(f"the study ended with {driver.returncode}")
        size = run_folder(folder).num_bytes()
        left = [name for name in _processes() if str(folder) in " ".join(_words(name))]
    return {
        "trials": trials,
        "cores": os.cpu_count(),
        "seconds": time.monotonic() - began,
        "moments": moments,
        "left": len(left),
        "bytes_per_trial": size / trials,
    }


def _taken(driver: int) -> dict[str, int]:
    """Bytes of the driver and its raylet, open files of both, threads, and processes of workers."""
    below = _below(driver)
    raylet = next(process for process in below if _words(process)[0].endswith("/raylet"))
    return {
        "driver": resident_bytes(driver),
        "raylet": resident_bytes(raylet),
        "files": len(os.listdir(f"/proc/{driver}/fd")),
        "raylet_files": len(os.listdir(f"/proc/{raylet}/fd")),
        "threads": len(os.listdir(f"/proc/{driver}/task")),
        "workers": sum(_words(process)[0].startswith("ray::") for process in below),
    }


def _below(driver: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    parents = {process: _parent(process) for process in _processes()}
    found, last = [], [driver]
    while last:
        last = [process for process, parent in parents.items() if parent in last]
        found += last
    return found


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


def _words(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return [""]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
