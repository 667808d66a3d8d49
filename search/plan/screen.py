"""A plan on the screen, alone or beside what a study really took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from lssat.text.console import Column, Sheet
from lssat.text.durations import duration
from search.plan.actual import Actual
from search.plan.backbone_estimates import BackboneEstimate
from search.plan.estimate import Plan
from search.plan.machine import BUSY
from search.record.names import PLANS
from search.space.epochs import Span

COLUMNS = {
    "backbone": 0,
    "size": 6,
    "params": 1,
    "workers": 7,
    "CPUs": 5,
    "GPUs": 5,
    "at a time": 3,
    "memory": 2,
    "of": 2,
    "micro-batches": 4,
    "an epoch": 1,
}
"""What is said of a backbone, and how soon it is given room on a screen."""
LEGEND = (
    "  params: of encoder, head and decoder; CPUs, GPUs, memory: of one worker; at a time: trials; micro-batches: of a "
    "batch"
)
NOTES = (
    "low: every trial but one is stopped at the first rung (under promotion the usual share goes on); expected: the "
    "usual share goes on at each rung; high: none is stopped, for each is better than those before it.\n"
    "Each backbone counts as drawn equally often, with the first choice of what else is searched. The smallest and the "
    "largest were measured, each alone; the others lie between them by "
    "parameters, which is rough. Left out: start-up, preparation of data, what trials side by side take from each "
    "other, and the memory that an operation needs for a moment (up to a third more). Validation rows of one video or "
    "person count together: where there are fewer of these than rows, only larger differences can be told."
)
UNKNOWN_TIME = "unknown: no backbone can run on this machine, so none was measured"


def show(plan: Plan, console: Console) -> None:
    """Everything that is in a plan, and what it rests on."""
    console.print(f"Plan (an estimate, nothing was started), profile {plan.profile}", style="bold")
    for key, text in plan.space:
        console.print(f"  {key:<22} {text}")
    console.print(f"  points    {plan.points}")
    rows = ", ".join(f"{count:,} {split}" for split, count in plan.data.rows.items())
    console.print(f"  data      {rows} ({plan.data.origin})")
    console.print(f"  trials    {plan.trials} of at most {plan.epochs_per_trial} epochs")
    for text in plan.earlier:
        console.print(f"  from      {text}", soft_wrap=True)
    epochs = _in_words(plan.epochs, "{:,.0f}".format)
    tried = _in_words(plan.baseline_epochs, "{:,.0f}".format, "")
    of_baselines = f" and {tried} for learning rates of supervised baselines" if plan.baseline_epochs.high else ""
    console.print(
        f"  epochs    {epochs}, of which {plan.final_epochs:,} of the final stage "
        f"({plan.final_epochs // plan.epochs_per_trial} runs){of_baselines}",
        soft_wrap=True,
    )
    if plan.seen:
        console.print(f"  final     {plan.seen}", soft_wrap=True)
    _show_backbones(plan, console)
    console.print(f"  time      {_in_words(plan.seconds, duration) if plan.seconds else UNKNOWN_TIME}")
    if plan.fits:
        console.print(f"  hours     {plan.fits}", soft_wrap=True)
    _say_how_busy(plan, console)
    console.print(f"  disk      {data_size(plan.disk)} when most is there")
    console.print(NOTES, style="dim")


def _say_how_busy(plan: Plan, console: Console) -> None:
    share = min(backbone.cpu_share for backbone in plan.backbones)
    if share < BUSY:
        console.print(
            f"  this machine is busy: the measurement had a CPU for {share:.0%} of its time. The times are those of a "
            f"quiet machine; as busy as now, they would be about {1 / share:.1f} times as long",
            style="yellow",
        )


def compare(plan: Mapping[str, Any], actual: Actual, console: Console) -> None:
    """A plan, as `Plan.to_json` writes it, against the finished study."""
    table = Table(
        "", "low", "expected", "high", "actual", title="Plan against actual", title_justify="left", header_style="bold"
    )
    epochs = _cells(Span(**plan["epochs"]), "{:,.0f}".format)
    seconds = _cells(Span(**plan["seconds"]), duration) if plan["seconds"] else ("", "unknown", "")
    table.add_row("trials", "", f"{plan['trials']}", "", f"{actual.trials}")
    table.add_row("epochs", *epochs, f"{actual.epochs:,}")
    table.add_row("time", *seconds, duration(actual.seconds))
    table.add_row("disk", "", data_size(plan["disk"]), "", f"{data_size(actual.disk)} left")
    console.print(table)
    if actual.spent:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in actual.spent.items())
        console.print(f"  the time went to: {shares}")


def data_size(num_bytes: float) -> str:
    """Bytes as `340 MB` or `1.2 GB`."""
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:.1f} GB"


def backbones_sheet(backbones: Sequence[BackboneEstimate]) -> Sheet:
    """What the trials of each backbone take, as a table."""
    columns = [
        Column(name, priority, cells, "left" if name in ("backbone", "size") else "right")
        for (name, priority), cells in zip(COLUMNS.items(), zip(*map(_row, backbones), strict=True), strict=True)
    ]
    styles = ["" if backbone.runs_here else "yellow" for backbone in backbones]
    return Sheet("", columns, styles, f"the plan in {PLANS}, beside the folder of the study")


def _show_backbones(plan: Plan, console: Console) -> None:
    backbones_sheet(plan.backbones).show(console)
    console.print(LEGEND, style="dim")
    without_room = [backbone for backbone in plan.backbones if not backbone.num_concurrent]
    _warn(plan, console, "this machine has too few CPUs or GPUs for a trial of", without_room)
    too_large = [backbone for backbone in plan.backbones if backbone.num_concurrent and not backbone.num_micro_batches]
    _warn(plan, console, "two rows at a time need more memory than there is with", too_large)


def _warn(plan: Plan, console: Console, problem: str, backbones: list[BackboneEstimate]) -> None:
    if backbones:
        names = ", ".join(backbone.name for backbone in backbones)
        which = "any of them" if len(backbones) == len(plan.backbones) else names
        console.print(f"  {problem} {which}", style="yellow")


def _row(backbone: BackboneEstimate) -> list[str]:
    return [
        backbone.name,
        backbone.size,
        f"{backbone.num_parameters / 1e6:.2f}M",
        str(backbone.num_workers),
        str(backbone.cpus_per_worker),
        f"{backbone.gpus_per_worker:g}",
        str(backbone.num_concurrent),
        data_size(backbone.memory),
        data_size(backbone.available),
        str(backbone.num_micro_batches or "-"),
        duration(backbone.seconds_per_epoch) if backbone.seconds_per_epoch is not None else "-",
    ]


def _cells(span: Span, form: Callable[[float], str]) -> tuple[str, str, str]:
    return form(span.low), form(span.expected), form(span.high)


def _in_words(span: Span, form: Callable[[float], str], legend: str = " (low / expected / high)") -> str:
    low, expected, high = _cells(span, form)
    return f"{low} / {expected} / {high}{legend}"
