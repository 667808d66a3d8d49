"""What a message says of a name that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MOST = 24  # names in a message: all families of the catalogue, not all columns of a wide table


def nearest(name: str, known: Iterable[str], introduction: str = "known are") -> str:
    """`did you mean ...?`, or the list of what is known."""
    return did_you_mean(name, known) or f"{introduction} {listed([*known])}"


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The known names nearest to a wrong one; empty where none is near."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
    return f"did you mean {' or '.join(f'`{item}`' for item in near)}?" if near else ""


def listed(names: Sequence[str]) -> str:
    """Names in backquotes, not too many of them."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(f"`{name}`" for name in names[:MOST]) + more
