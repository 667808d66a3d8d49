"""`--plan`: make a plan, show and keep it; and what became of it."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from lssat.files import write_json
from lssat.settings.data import DataConfig
from lssat.text.console import SafeConsole
from lssat.text.visible import visible
from search.plan.actual import actual
from search.plan.data import Listed, estimate_data, newest_prepared
from search.plan.estimate import make_plan
from search.plan.machine import this_machine
from search.plan.payoff_screen import show_payoffs
from search.plan.screen import compare, show
from search.plan.seen import measured_spread
from search.record.folder import RunFolder
from search.space.definition import Space

ReadImages = Callable[[DataConfig, Path | None, int, float], npt.NDArray[np.uint8] | None]
"""`lssat.data.prepare.sample.training_images`"""
SECONDS = 30.0
"""What measuring takes in all."""
MOST_IMAGES, READING_SECONDS, PAYOFF_SECONDS = 1_000, 10.0, 20.0
"""That are looked at, and what reading them, and measuring on them, takes at most."""
NO_IMAGES = (
    "unknown: no training image can be looked at before videos are opened; prepare them (`python -m lssat.prepare`), "
    "and ask again"
)
WIDTH = 140
"""Columns of the screen, where the output is no terminal."""


def plan_study(space: Space, folder: RunFolder, cache: Path, listed: Listed, read: ReadImages) -> None:
    """Show the plan of a study and keep it, so that the finished study in `folder` can be compared with it.

    `cache`: where prepared data sets are. `listed`: the data before they are prepared. Raises ConfigError.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    console = SafeConsole(width=None if sys.stdout.isatty() else WIDTH)
    wanted = space.example().data
    over = (space.example().objective.over or "mean") if space.search.rotate else None
    data = replace(estimate_data(wanted, cache, listed), spread=measured_spread(folder.path.parent, wanted, over))
    with console.status("looking at the backbones") as status:
        plan = make_plan(space, data, this_machine(), SECONDS, lambda text: status.update(Text(visible(text))))
    show(plan, console)
    with console.status("looking at training images"):
        found = _payoffs(space, cache, read, console)
    write_json(folder.plan, {"space": space.to_json(), "plan": plan.to_json(), "payoff": found})
    if folder.has_begun:
        compare_with_plan(space, folder, console)


def _payoffs(space: Space, cache: Path, read: ReadImages, console: Console) -> dict[str, float]:
    """Say how predictable the textures of a space are on its training images; the ratios, by name."""
    from search.plan.payoff import measured, targets  # torch takes seconds to load

    wanted = targets(space)
    if not wanted:
        return {}
    data = space.example().data
    prepared = newest_prepared(data, cache)
    images = read(data, prepared and prepared[0], MOST_IMAGES, READING_SECONDS)
    if images is None:
        console.print(f"  payoff    {NO_IMAGES}", soft_wrap=True)
        return {}
    found = measured(wanted, images, PAYOFF_SECONDS)
    show_payoffs(found, len(wanted) - len(found), console)
    return {f"{each.target.name}, {each.target.unit} px": round(each.of_constant, 4) for each in found}


def compare_with_plan(space: Space, folder: RunFolder, console: Console) -> None:
    """The study in `folder` beside the plan that `--plan` made of the same space, if it made one."""
    if folder.plan.exists():
        kept = json.loads(folder.plan.read_text())
        if kept["space"] == json.loads(json.dumps(space.to_json())):
            compare(kept["plan"], actual(folder), console)
