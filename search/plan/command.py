"""`--plan`: make a plan, show and keep it; and what became of it."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lssat.console import SafeConsole
from lssat.data.prepared.table import DatasetInfo
from lssat.files import write_json
from lssat.visible import visible
from search.plan.actual import actual
from search.plan.data import estimate_data
from search.plan.estimate import make_plan
from search.plan.machine import this_machine
from search.plan.screen import compare, show
from search.plan.seen import measured_spread
from search.record.folder import RunFolder
from search.space.definition import Space

SECONDS = 30.0
"""What measuring takes in all."""
WIDTH = 140
"""Columns of the screen, where the output is no terminal."""


def plan_study(space: Space, folder: RunFolder, cache: Path, listed: DatasetInfo) -> None:
    """Show the plan of a study and keep it, so that the finished study in `folder` can be compared with it.

    `cache`: where prepared data sets are. `listed`: the data before they are prepared. Raises ConfigError.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    console = SafeConsole(width=None if sys.stdout.isatty() else WIDTH)
    wanted = space.example().data
    data = replace(estimate_data(wanted, cache, listed), spread=measured_spread(folder.path.parent, wanted))
    with console.status("looking at the backbones") as status:
        plan = make_plan(space, data, this_machine(), SECONDS, lambda text: status.update(Text(visible(text))))
    show(plan, console)
    write_json(folder.plan, {"space": space.to_json(), "plan": plan.to_json()})
    if folder.has_begun:
        compare_with_plan(space, folder, console)


def compare_with_plan(space: Space, folder: RunFolder, console: Console) -> None:
    """The study in `folder` beside the plan that `--plan` made of the same space, if it made one."""
    if folder.plan.exists():
        kept = json.loads(folder.plan.read_text())
        if kept["space"] == json.loads(json.dumps(space.to_json())):
            compare(kept["plan"], actual(folder), console)
