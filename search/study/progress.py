"""One display of a study, over both stages: epochs, runs that are over or running, the best so far, time left."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lssat.model import catalog
from lssat.text.durations import duration
from lssat.train.result import WORKERS, EpochResult
from search.record.trials import Outcome, Status, TrialRecord
from search.strategy.forecast import Forecast
from search.strategy.suggestion import Suggestion

LINE_EVERY_S = 30  # where there is no terminal, a line this often
BAR = 20  # columns
GAP = 2  # columns between two cells of a running trial
MOST_SHOWN = 20  # running trials


@dataclass(frozen=True)
class Part:
    """A part of a study, as it is shown. `runs`: what its runs are called; `num_runs`: how many there are in all.

    `records`: of those that have begun. `best`: the best score of earlier sessions, and whose it is. `seconds_left`:
    that a budget leaves.
    """

    title: str
    runs: str
    num_runs: int
    records: Iterable[TrialRecord] = ()
    best: tuple[float, str] | None = None
    seconds_left: Callable[[], float] = lambda: math.inf


@dataclass
class _Shown:
    """How a part stands."""

    part: Part
    best: tuple[float, str] | None
    counts: Counter[Status] = field(default_factory=Counter)
    paused: set[str] = field(default_factory=set)
    running: dict[str, _Running] = field(default_factory=dict)


@dataclass(frozen=True)
class _Running:
    suggestion: Suggestion
    result: EpochResult | None = None

    @property
    def backbone(self) -> str:
        return catalog.architecture(self.suggestion.config.backbone)

    def cells(self) -> list[str]:
        """What a narrow terminal has no room for comes last."""
        config, result = self.suggestion.config, self.result
        return [
            f"  {self.suggestion.name}",
            self.backbone,
            f"epoch {result.epoch}/{result.epochs}" if result else "starting",
            f"score {result.best:.4f}" if result else "",
            f"aux_weight {config.aux_weight:.2g}" if config.trains_auxiliary else "no auxiliary task",
            config.streams if config.trains_auxiliary else "",
        ]


class Progress:
    """Live on a terminal; lines elsewhere."""

    def __init__(self, console: Console, forecast: Forecast) -> None:
        self.console = console
        self.forecast = forecast
        self._shown = _Shown(Part("", "", 0), None)
        self._began = self._last_line = time.monotonic()
        self._waiting = self._waiting_said = ""

    @contextmanager
    def shows(self, part: Part) -> Iterator[None]:
        """A part of the study runs.

        Standard output and error stay in the log: Ray prints there.
        """
        self._shown = shown = _Shown(part, part.best)
        for record in part.records:
            if record.outcome:
                shown.counts[record.status] += 1
            else:
                shown.paused.add(record.name)
        live = Live(
            get_renderable=self.render,
            console=self.console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with live if self.console.is_terminal else nullcontext():
            yield

    def started(self, suggestion: Suggestion) -> None:
        """A run starts, or goes on."""
        self.forecast.started(suggestion)
        self._shown.running[suggestion.name] = _Running(suggestion)
        self._shown.paused.discard(suggestion.name)

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """A run has finished an epoch."""
        self.forecast.observe(suggestion, result)
        shown, before = self._shown, _fewer_workers(self._shown.running[suggestion.name].result)
        if (workers := _fewer_workers(result)) != before:
            whole = suggestion.config.resources.num_workers
            self.say(
                f"{suggestion.name} goes on with {workers or whole} of its {whole} workers from epoch {result.epoch}"
            )
        running = shown.running[suggestion.name] = replace(shown.running[suggestion.name], result=result)
        if result.is_last and (shown.best is None or result.best > shown.best[0]):
            shown.best = (result.best, f"{running.backbone}, {suggestion.name}")
        if not self.console.is_terminal and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._print(self.line())

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """A run is over, or has paused at a rung."""
        self.forecast.finish(suggestion, outcome, last)
        name, shown = suggestion.name, self._shown
        running = shown.running.pop(name, None)
        if outcome is None:
            shown.paused.add(name)
            return
        shown.counts[outcome.status] += 1
        if outcome.status in (Status.FAILED, Status.INFEASIBLE):
            self.console.print(f"warning: {name} {outcome.status}: {outcome.reason}", style="yellow")
        elif not self.console.is_terminal and running:
            score = f"{last.best:.4f}" if last else "-"
            self._print(f"{name} {outcome.status} {running.backbone} score {score}   {self.line()}")

    def say(self, warning: str) -> None:
        """Something happened to a run that is not over."""
        self.console.print(f"warning: {warning}", style="yellow", soft_wrap=True)

    def wait(self, text: str) -> None:
        """What a run waits for; empty: none waits."""
        self._waiting = text
        why = text.partition(": ")[2]
        if not self.console.is_terminal and why != self._waiting_said:
            if why:
                self._print(text)
            self._waiting_said = why

    def line(self) -> str:
        """Everything, where there is no terminal."""
        since, title = duration(time.monotonic() - self._began), self._shown.part.title
        epochs = self._epochs(self.forecast.trained, self._left())
        return ", ".join([f"[{since}] {title}: {epochs}", self._runs(), *self._best()])

    def render(self) -> Group:
        """Everything, on a terminal."""
        trained, left = self.forecast.trained, self._left()
        width, height = self.console.size
        head = Table.grid(padding=(0, 1))
        for _ in range(3):
            head.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=max(1.0, trained + left), completed=trained, width=BAR)
        head.add_row(self._shown.part.title, bar, self._epochs(trained, left))
        texts = [self._runs(), *self._best(), *filter(None, [self._waiting])]
        running, num_more = self._most_interesting(min(MOST_SHOWN, height - len(texts) - 3))
        more = [[f"  and {num_more} more"]] if num_more else []
        parts = [[[f"  {text}"] for text in texts], [each.cells() for each in running], more]
        return Group(head, *(_grid(rows, width) for rows in parts if rows))

    def _most_interesting(self, most: int) -> tuple[list[_Running], int]:
        """Those that run; of too many the best by now, and how many there are beside them."""
        running = list(self._shown.running.values())
        if len(running) <= most:
            return running, 0
        best = heapq.nlargest(max(1, most), running, key=lambda each: each.result.best if each.result else -math.inf)
        return best, len(running) - len(best)

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        self.console.print(text, soft_wrap=True)

    def _left(self) -> float:
        return self.forecast.left(self._shown.part.seconds_left())

    def _epochs(self, trained: int, left: float) -> str:
        """Of the whole study."""
        text = f"{trained} of {trained + round(left)} epochs"
        if round(left) == 0:
            return text
        seconds = self.forecast.seconds_left(left)
        return f"{text}, " + ("time left: measuring" if seconds is None else f"about {duration(max(1, seconds))} left")

    def _runs(self) -> str:
        """Of this part."""
        shown = self._shown
        ended = {"stopped early": shown.counts[Status.STOPPED], "failed": shown.counts[Status.FAILED]}
        how = ", ".join(f"{number} {what}" for what, number in ended.items() if number)
        over = f"{shown.counts.total()} of {shown.part.num_runs} {shown.part.runs} over" + (f" ({how})" if how else "")
        paused = [f"{len(shown.paused)} paused"] if shown.paused else []
        return ", ".join([over, *paused, f"{len(shown.running)} running"])

    def _best(self) -> list[str]:
        best = self._shown.best
        return [f"best {best[0]:.4f} ({best[1]})"] if best else []


def _fewer_workers(result: EpochResult | None) -> int:
    """How many workers trained an epoch, where a group had lost some; else 0."""
    return int(result.metrics.get(WORKERS, 0)) if result else 0


def _grid(rows: Sequence[Sequence[str]], width: int) -> Text:
    """Rows in as many columns as there is room for; the first is cut where even that has none. A table of rich's takes
    many times as long.
    """
    columns: list[list[str]] = []
    used = 0
    for column in zip(*rows, strict=True):
        widest = max(map(cell_len, column))
        used += widest + GAP
        if columns and used - GAP > width:
            break
        columns.append([set_cell_size(cell, widest) for cell in column])
    lines = ((" " * GAP).join(cells).rstrip() for cells in zip(*columns, strict=True))
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
