"""Waiting is counted where items are waited for, and not where they are used."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lssat.data.prepared.awaited import Awaited


def test_only_the_wait_for_items_is_counted() -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number
        time.sleep(0.02)

    waited = Awaited(slow())
    used = []
    for number in waited:
        used.append(number)
        time.sleep(0.2)
    assert used == [0, 1, 2]
    assert 0.08 <= waited.seconds < 0.6
