"""A plan on the screen, alone or beside what a study really took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from search.plan.actual import Actual
from search.plan.estimate import Backbone, Plan
from search.space.epochs import Span

NOTES = """low: every trial but one is stopped at the first rung (under promotion the usual share goes on); expected: the usual share goes on at each rung;
high: none is stopped, for each is better than those before it.
Each backbone counts as drawn equally often, with the first choice of what else is searched. The smallest and the largest were measured, each
alone beside what runs on this machine now; the others lie between them by parameters, which is rough. Left out: start-up, preparation of data,
what trials side by side take from each other, and the memory that an operation needs for a moment (up to a third more)."""


def show(plan: Plan, console: Console) -> None:
    """Everything that is in a plan, and what it rests on."""
    console.print(f"[bold]Plan[/bold] (an estimate, nothing was started), profile {plan.profile}")
    for key, text in plan.space:
        console.print(f"  {key:<22} {text}", markup=False)
    console.print(f"  points    {plan.points}")
    rows = ", ".join(f"{count:,} {split}" for split, count in plan.data.rows.items())
    console.print(f"  data      {rows} ({plan.data.origin})", markup=False)
    console.print(f"  trials    {plan.trials} of at most {plan.epochs_per_trial} epochs")
    console.print(
        f"  epochs    {_span(plan.epochs, '{:,.0f}'.format)}, of which {plan.final_epochs:,} of the final stage"
    )
    _show_backbones(plan, console)
    console.print(
        f"  time      {_span(plan.seconds, duration) if plan.seconds else 'unknown: no backbone can run on this machine, so none was measured'}"
    )
    console.print(f"  disk      {size(plan.disk)} when most is there")
    console.print(NOTES, style="dim", soft_wrap=True)


def compare(plan: Mapping[str, Any], actual: Actual, console: Console) -> None:
    """A plan, as `Plan.to_json` writes it, against the finished study."""
    table = Table(
        "", "low", "expected", "high", "actual", title="Plan against actual", title_justify="left", header_style="bold"
    )
    table.add_row("trials", "", f"{plan['trials']}", "", f"{actual.trials}")
    table.add_row("epochs", *_cells(Span(**plan["epochs"]), "{:,.0f}".format), f"{actual.epochs:,}")
    table.add_row(
        "time",
        *(_cells(Span(**plan["seconds"]), duration) if plan["seconds"] else ("", "unknown", "")),
        duration(actual.seconds),
    )
    table.add_row("disk", "", size(plan["disk"]), "", f"{size(actual.disk)} left")
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
    for name in (
        "backbone",
        "size",
        "params",
        "workers",
        "CPUs",
        "GPUs",
        "at a time",
        "memory",
        "of",
        "pieces",
        "an epoch",
    ):
        table.add_column(name, justify="left" if name in ("backbone", "size") else "right", no_wrap=name != "backbone")
    for backbone in plan.backbones:
        table.add_row(*_backbone(backbone), style="" if backbone.runs_here else "yellow")
    console.print(table)
    console.print(
        "  params: of encoder, head and decoder; CPUs, GPUs, memory: of one worker; at a time: trials; pieces: "
        "micro-batches of a batch",
        style="dim",
    )
    _name(
        plan, console, "this machine has too few CPUs or GPUs for a trial of", lambda backbone: not backbone.at_a_time
    )
    _name(
        plan,
        console,
        "two rows at a time need more memory than there is with",
        lambda backbone: bool(backbone.at_a_time) and not backbone.micro_batches,
    )


def _name(plan: Plan, console: Console, problem: str, has: Callable[[Backbone], bool]) -> None:
    names = [backbone.name for backbone in plan.backbones if has(backbone)]
    if names:
        which = "any of them" if len(names) == len(plan.backbones) else ", ".join(names)
        console.print(f"  {problem} {which}", style="yellow", markup=False)


def _backbone(backbone: Backbone) -> list[str]:
    resources = [
        str(backbone.workers),
        str(backbone.cpus_per_worker),
        f"{backbone.gpus_per_worker:g}",
        str(backbone.at_a_time),
    ]
    memory = [size(backbone.memory), size(backbone.available), str(backbone.micro_batches or "-")]
    epoch = duration(backbone.seconds_per_epoch) if backbone.seconds_per_epoch is not None else "-"
    return [backbone.name, backbone.size, f"{backbone.parameters / 1e6:.2f}M", *resources, *memory, epoch]


def _cells(span: Span, form: Callable[[float], str]) -> tuple[str, str, str]:
    return form(span.low), form(span.expected), form(span.high)


def _span(span: Span, form: Callable[[float], str]) -> str:
    low, expected, high = _cells(span, form)
    return f"{low} / {expected} / {high} (low / expected / high)"
