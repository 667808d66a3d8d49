"""What a study runs on, in words: the last digits of its numbers depend on it."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Processor and graphics cards of this machine; on a cluster it is the one that drives. torch is not asked: it
    takes seconds to load.
    """
    return {"processor": _processor(), "graphics": _graphics()}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.machine()


def _graphics() -> str:
    cards = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        named = (line.partition(":")[2].strip() for line in path.read_text().splitlines() if line.startswith("Model"))
        cards += [next(named, "unknown")]
    return ", ".join(cards) or "none"
