"""How predictable textures are, on the screen of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from search.plan.payoff import Payoff

NOTES = (
    "payoff: what can be told of a hidden patch from its place and from the visible ones near it, by lines (a network "
    "may find more): the reconstruction loss relative to a constant guess, on images that were not fitted. Where "
    "little can be told, rebuilding can teach little: it bounds what reconstruction can teach, and is no promise for "
    "the score."
)
WIDTH = 24


def show_payoffs(found: Sequence[Payoff], num_left: int, console: Console) -> None:
    """A line for each target, by size of patch. `num_left`: that there was no time for."""
    unit = 0
    for each in found:
        target = each.target
        if target.unit != unit:
            unit = target.unit
            most = max(other.images for other in found if other.target.unit == unit)
            console.print(
                f"  payoff    {target.ratio:.0%} of patches of {unit} px hidden, up to {most:,} training images"
            )
        console.print(f"    {line(each)}")
    if num_left:
        console.print(f"    no time was left for {num_left} more textures and sizes of patches", style="yellow")
    console.print(NOTES, style="dim")


def line(found: Payoff) -> str:
    """`LDP scaled: 0.95 of a constant guess (by its place alone 0.96): hardly predictable`."""
    if found.is_constant:
        return f"{found.target.name + ':':<{WIDTH}} {found.word}"
    perfect = f"; the target itself {found.perfect / found.constant:.2f}" if found.perfect else ""
    place = f"by its place alone {found.place / found.constant:.2f}{perfect}"
    return f"{found.target.name + ':':<{WIDTH}} {found.of_constant:.2f} of a constant guess ({place}): {found.word}"
