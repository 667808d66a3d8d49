"""How shares of planted studies are written, and goals that they miss."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from search.planted.tally import Tally

Goal = tuple[str, str, Callable[[tuple[float, float]], bool]]
"""In words; what is counted; whether its limits miss it."""

SEED = 1
"""From which the page is drawn: not 0, by which some thresholds were chosen."""


def percent(found: Tally, what: str) -> str:
    """The share of studies in which something was so, with its Monte Carlo limits."""
    low, high = found.limits(what)
    return f"{100 * found.share(what):.1f} ({100 * low:.1f} to {100 * high:.1f})"


def missed_goals(goals: Sequence[Goal], found: Mapping[str, Tally]) -> str:
    """Where goals are missed by more than Monte Carlo luck, as a list."""
    lines = ["\nGoals that are missed, beyond the Monte Carlo limits:\n"]
    for words, what, is_missed in goals:
        missed = [f"{name} ({100 * of.share(what):.1f})" for name, of in found.items() if is_missed(of.limits(what))]
        line = f"- {words}: {'; '.join(missed) or 'in none'}."
        lines.append("\n".join(textwrap.wrap(line, 120, subsequent_indent="  ")))
    return "\n".join(lines) + "\n"
