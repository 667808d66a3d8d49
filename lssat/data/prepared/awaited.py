"""How long a consumer waits for what it is given."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Awaited(Generic[Item]):
    """Hands items on, and counts the `seconds` that they were waited for."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Item]:
        asked = time.perf_counter()
        for item in self._items:
            self.seconds += time.perf_counter() - asked
            yield item
            asked = time.perf_counter()
        self.seconds += time.perf_counter() - asked
