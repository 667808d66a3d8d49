"""How far a preparation is, in lines for whoever waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from lssat.command import Notify
from lssat.text.durations import duration

NOTIFY_SECONDS = 5.0
Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """Notifies every few seconds how many items are done, how fast they come and how long the rest will take.

    `done`: of `total`, before this process began.
    """

    notify: Notify
    what: str
    total: int
    done: int = 0

    def follow(self, items: Iterable[Item], size: Callable[[Item], int] = lambda item: 1) -> Iterator[Item]:
        """The items; each counts for `size`."""
        self.notify(f"{self.what} {self.done}/{self.total}")
        begun = notified = time.monotonic()
        count = 0
        for item in items:
            yield item
            count += size(item)
            now = time.monotonic()
            if now - notified >= NOTIFY_SECONDS:
                notified = now
                self.notify(self._line(count, count / (now - begun)))

    def _line(self, count: int, rate: float) -> str:
        done = self.done + count
        return f"{self.what} {done}/{self.total}, {rate:.0f}/s, {duration((self.total - done) / rate)} left"
