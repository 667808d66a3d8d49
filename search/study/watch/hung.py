"""How long a trial may take for an epoch before it is taken for one that hangs."""

from __future__ import annotations

from lssat.text.durations import duration

TIMES = 10
"""As long as its longest epoch, a trial may be without one."""


def limit(minutes: float, longest: float, longest_of_any: float) -> float:
    """The seconds that a trial may be without a new epoch. `minutes`: `search.hang_minutes`, the least of them.

    `longest`: seconds of its longest epoch; 0: it has none yet, and `longest_of_any`, that of all trials, is all that
    is known. Backbones differ, and the first epoch has to begin: so it has ten times as long, and ten times the least.
    """
    if longest:
        return max(minutes * 60, TIMES * longest)
    return TIMES * max(minutes * 60, longest_of_any)


def said(seconds: float) -> str:
    """Why a trial's process was ended."""
    return f"no epoch in {duration(max(1, seconds))} (`search.hang_minutes`)"
