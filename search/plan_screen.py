"""A plan on the screen, alone or beside what a study really took."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from search.actual import Actual
from search.epochs import Span
from search.plan import Backbone, Plan


def show(plan: Plan, console: Console) -> None:
    """Everything that is in a plan, and what it rests on."""
    console.print(f"[bold]Plan[/bold] (an estimate, nothing was started), profile {plan.profile}")
    space = Table("searched key", "choices or range", header_style="bold")
    for key, text in plan.space:
        space.add_row(key, text)
    console.print(space)
    console.print(f"  points    {'continuous' if plan.points is None else f'{plan.points:,}'}")
    rows = ", ".join(f"{count:,} {split}" for split, count in plan.data.rows.items())
    console.print(f"  data      {rows} ({plan.data.origin})", markup=False)
    console.print(f"  trials    {plan.trials} of at most {plan.epochs_per_trial} epochs")
    console.print(f"  epochs    {_span(plan.epochs, '{:,.0f}'.format)}, of which {plan.final_epochs:,} of the final stage")
    _show_backbones(plan, console)
    console.print(f"  time      {_span(plan.seconds, duration) if plan.seconds else 'unknown: no backbone can run on this machine, so none was measured'}")
    console.print(f"  disk      {size(plan.disk)} when most is there")
    console.print(
        "low: every trial is stopped at the first rung but one; expected: the usual share goes on at each rung; high: none is stopped. Each backbone counts\n"
        "as drawn equally often. The smallest and the largest were measured, each alone on this machine; the others lie between them by parameters. Start-up,\n"
        "preparation of data and what trials side by side take from each other are left out; memory leaves out what an operation needs for a moment.",
        style="dim",
    )


def compare(plan: Plan, actual: Actual, console: Console) -> None:
    """The plan against a finished study."""
    table = Table("", "low", "expected", "high", "actual", title="Plan against actual", title_justify="left", header_style="bold")
    table.add_row("trials", "", f"{plan.trials}", "", f"{actual.trials}")
    table.add_row("epochs", *_cells(plan.epochs, "{:,.0f}".format), f"{actual.epochs:,}")
    table.add_row("time", *(_cells(plan.seconds, duration) if plan.seconds else ("", "unknown", "")), duration(actual.seconds))
    table.add_row("disk", "", size(plan.disk), "", f"{size(actual.disk)} left")
    console.print(table)


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes as `340 MB` or `1.2 GB`."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _show_backbones(plan: Plan, console: Console) -> None:
    table = Table(header_style="bold")
    for name in ("backbone", "size", "parameters", "workers", "CPUs, GPUs each", "trials at a time", "memory of a worker", "has", "micro-batches", "epoch"):
        table.add_column(name, justify="left" if name in ("backbone", "size") else "right")
    for backbone in plan.backbones:
        table.add_row(*_backbone(backbone), style="" if backbone.micro_batches and backbone.at_a_time else "yellow")
    console.print(table)


def _backbone(backbone: Backbone) -> list[str]:
    each = f"{backbone.cpus_per_worker}, {backbone.gpus_per_worker:g}"
    room = str(backbone.at_a_time) if backbone.at_a_time else "too few CPUs or GPUs here"
    fits = str(backbone.micro_batches) if backbone.micro_batches else "does not fit here"
    epoch = duration(backbone.seconds_per_epoch) if backbone.seconds_per_epoch is not None else ""
    start = [backbone.name, backbone.size, f"{backbone.parameters / 1e6:.2f}M", str(backbone.workers), each, room]
    return [*start, size(backbone.memory), size(backbone.available), fits, epoch]


def _cells(span: Span, form: Callable[[float], str]) -> tuple[str, str, str]:
    return form(span.low), form(span.expected), form(span.high)


def _span(span: Span, form: Callable[[float], str]) -> str:
    low, expected, high = _cells(span, form)
    return f"{low} / {expected} / {high} (low / expected / high)"
