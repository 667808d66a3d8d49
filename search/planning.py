"""`--plan`: make a plan, show it, and nothing else."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from rich.console import Console

from search.actual import actual
from search.folder import has_begun
from search.plan import look_at_data, make_plan, this_machine
from search.plan_screen import compare, show
from search.space import Space

SECONDS = 30.0  # that measuring takes in all
WIDTH = 140  # columns, where the output is no terminal


def plan_study(space: Space, folder: Path, cache: Path) -> None:
    """Show the plan of a study, and what it took where it has been run in `folder` already. `cache`: of prepared data. Raises ConfigError."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    data = look_at_data(space.example().data, cache)
    with console.status("looking at the backbones") as status:
        plan = make_plan(space, data, this_machine(), SECONDS, status.update)
    show(plan, console)
    if has_begun(folder):
        compare(plan, actual(folder), console)
