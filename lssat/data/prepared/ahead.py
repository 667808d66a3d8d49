"""The next item is made while the one before it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in their order. A thread makes the next one as soon as one is handed on; what goes wrong there is
    raised where the item was due. Whoever stops early waits for the one that is being made.
    """
    end, source = object(), iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="one-ahead") as thread:
        item = thread.submit(next, source, end)
        while (made := item.result()) is not end:
            item = thread.submit(next, source, end)
            yield made  # type: ignore[misc]
