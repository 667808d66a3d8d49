"""One live display of a stage: runs done, running, stopped, failed, the best so far, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from lssat.durations import duration
from lssat.model import catalog
from lssat.train.result import EpochResult
from search.record.trials import Outcome, Status
from search.strategy.suggestion import Suggestion

LINE_EVERY_S = 30  # where there is no terminal, a line this often


@dataclass(frozen=True)
class Expected:
    """What a stage is expected to bring.

    `what`: what each of its runs is called. `num_runs`: how many there are in all. `epochs`: that this session trains,
    of all runs together.
    """

    what: str
    num_runs: int
    epochs: float


@dataclass(frozen=True)
class _Running:
    suggestion: Suggestion
    result: EpochResult | None = None

    @property
    def backbone(self) -> str:
        return catalog.architecture(self.suggestion.config.backbone)


class Progress:
    """Live on a terminal; lines elsewhere. `over`: how the runs ended that are over; `best`: the best score so far and
    whose it is.
    """

    def __init__(
        self, console: Console, expected: Expected, over: Iterable[Status], best: tuple[float, str] | None
    ) -> None:
        self._console = console
        self._expected = expected
        self._counts = Counter(over)
        self._best = best
        self._trained = 0
        self._paused: set[str] = set()
        self._running: dict[str, _Running] = {}
        self._began = self._last_line = time.monotonic()
        is_live = console.is_terminal
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
            if is_live
            else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, suggestion: Suggestion) -> None:
        """A run starts, or goes on."""
        self._running[suggestion.name] = _Running(suggestion)
        self._paused.discard(suggestion.name)

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """A run has finished an epoch."""
        running = replace(self._running[suggestion.name], result=result)
        self._running[suggestion.name] = running
        self._trained += 1
        if result.is_last and (self._best is None or result.best > self._best[0]):
            self._best = (result.best, f"{running.backbone}, {self._expected.what} {suggestion.name}")
        if not self._live and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._print(self._line())

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """A run is over, or has paused at a rung."""
        name = suggestion.name
        running = self._running.pop(name, None)
        if outcome is None:
            self._paused.add(name)
            return
        self._counts[outcome.status] += 1
        if outcome.status in (Status.FAILED, Status.INFEASIBLE):
            text = f"warning: {self._expected.what} {name} {outcome.status}: {outcome.reason}"
            self._console.print(text, style="yellow")
        elif not self._live and running:
            score = f"{last.best:.4f}" if last else "-"
            what = f"{self._expected.what} {name} {outcome.status} {running.backbone} score {score}"
            self._print(f"{what}   {self._line()}")

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(text, soft_wrap=True)

    def _line(self) -> str:
        ended = f"{self._counts[Status.STOPPED]} stopped early, {self._counts[Status.FAILED]} failed"
        paused = f", {len(self._paused)} paused" if self._paused else ""
        done = f"{self._counts.total()}/{self._expected.num_runs} done ({ended})"
        best = f", best {self._best[0]:.4f} ({self._best[1]})" if self._best else ""
        elapsed = duration(time.monotonic() - self._began)
        return f"[{elapsed}] {done}{paused}, {len(self._running)} running{best}, {self._time_left()}"

    def _time_left(self) -> str:
        """At the pace of this session's epochs."""
        if self._trained < 2:
            return "time left: measuring"
        if self._trained >= self._expected.epochs:
            return "longer than expected"
        share_left = (self._expected.epochs - self._trained) / self._trained
        return f"about {duration(share_left * (time.monotonic() - self._began))} left"

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for name, running in list(self._running.items()):
            table.add_row(f"  {self._expected.what} {name}", *self._cells(running))
        bar = Table.grid(padding=(0, 1))
        total = max(1.0, self._expected.epochs)
        shown = ProgressBar(total=total, completed=min(self._trained, total), width=30)
        bar.add_row(shown, self._line())
        return Group(bar, table)

    def _cells(self, running: _Running) -> list[str]:
        config, result = running.suggestion.config, running.result
        streams = config.streams if config.trains_auxiliary else ""
        weight = f"aux_weight {config.aux_weight:.2g}" if config.trains_auxiliary else "no auxiliary task"
        epoch = f"epoch {result.epoch}/{result.epochs}" if result else "starting"
        score = f"score {result.best:.4f}" if result else ""
        return [running.backbone, streams, weight, epoch, score]
