"""One live display of the study: trials done, running, stopped, failed, the best so far, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lssat.config import Config
from lssat.model import catalog

LINE_EVERY_S = 30  # where there is no terminal, a line this often


class Progress:
    """Live on a terminal; lines elsewhere. `what`: what each of them is called; `epochs`: how many this session is
    expected to train, of all together.
    """

    def __init__(
        self,
        console: Console,
        what: str,
        num_trials: int,
        epochs: float,
        finished: Mapping[str, int],
        best: tuple[float, str] | None,
    ) -> None:
        self._console = console
        self._what = what
        self._num_trials = num_trials
        self._counts = Counter(finished)
        self._expected = epochs
        self._trained = 0
        self._reached: dict[str, int] = {}
        self._paused: set[str] = set()
        self._best = best
        self._running: dict[str, tuple[Config, Mapping[str, Any]]] = {}
        self._began = self._spoke = time.time()
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, name: str, config: Config, epoch: int) -> None:
        """`epoch`: the last one that it has trained already."""
        self._running[name] = (config, {})
        self._reached[name] = epoch
        self._paused.discard(name)

    def reported(self, name: str, measured: Mapping[str, Any]) -> None:
        config = self._running[name][0]
        self._running[name] = (config, measured)
        self._trained += max(0, measured["epoch"] - self._reached[name])
        self._reached[name] = max(measured["epoch"], self._reached[name])
        if measured["epoch"] == measured["epochs"] and (self._best is None or measured["val/best"] > self._best[0]):
            self._best = (measured["val/best"], f"{catalog.architecture(config.backbone)}, {self._what} {name}")
        if not self._live and time.time() - self._spoke > LINE_EVERY_S:
            self._say(self._line())

    def paused(self, name: str) -> None:
        self._running.pop(name, None)
        self._paused.add(name)

    def finished(self, name: str, status: str, reason: str) -> None:
        config, measured = self._running.pop(name, (None, {}))
        self._counts[status] += 1
        if status in ("failed", "infeasible"):
            self.warn(f"{self._what} {name} {status}: {reason}")
        elif not self._live and config:
            score = f"{measured['val/best']:.4f}" if "val/best" in measured else "-"
            self._say(
                f"{self._what} {name} {status} {catalog.architecture(config.backbone)} val/best {score}   "
                f"{self._line()}"
            )

    def warn(self, text: str) -> None:
        self._console.print(Text(f"warning: {text}", style="yellow"))

    def _say(self, text: str) -> None:
        self._spoke = time.time()
        self._console.print(text, highlight=False, soft_wrap=True)

    def _line(self) -> str:
        ended = f"{self._counts['stopped']} stopped early, {self._counts['failed']} failed"
        paused = f", {len(self._paused)} paused" if self._paused else ""
        counts = f"{self._done}/{self._num_trials} done ({ended}){paused}, {len(self._running)} running"
        best = f", best {self._best[0]:.4f} ({self._best[1]})" if self._best else ""
        return f"[{_clock(time.time() - self._began)}] {counts}{best}, {self._time_left()}"

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    def _time_left(self) -> str:
        """At the pace of this session's epochs."""
        if self._trained < 2:
            return "time left: measuring"
        if self._trained >= self._expected:
            return "longer than expected"
        left = (self._expected - self._trained) / self._trained * (time.time() - self._began)
        return f"about {_clock(left)} left"

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for name, (config, measured) in list(self._running.items()):
            epoch = f"epoch {measured['epoch']}/{measured['epochs']}" if measured else "starting"
            score = f"val/best {measured['val/best']:.4f}" if measured else ""
            weight = f"aux_weight {config.aux_weight:.2g}" if config.trains_auxiliary else "no auxiliary task"
            table.add_row(
                f"  {self._what} {name}",
                catalog.architecture(config.backbone),
                config.streams if config.trains_auxiliary else "",
                weight,
                epoch,
                score,
            )
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(1.0, self._expected), completed=min(self._trained, self._expected), width=30),
            Text(self._line()),
        )
        return Group(bar, table)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
