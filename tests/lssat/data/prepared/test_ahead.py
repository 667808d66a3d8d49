"""The next item is made while the one before it is used, and never more than that one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lssat.data.prepared.ahead import one_ahead


def test_items_come_in_their_order_each_made_while_the_one_before_is_used() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    found = []
    for number in one_ahead(items()):
        found.append(number)
        if number + 1 < len(made):
            assert made[number + 1].wait(10), "the next one is made before it is asked for"
        assert not any(event.is_set() for event in made[number + 2 :]), "no more than the next one is made"
    assert found == [0, 1, 2, 3]
    assert list(one_ahead([])) == []


def test_an_error_is_raised_where_the_item_was_due() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_no_thread_is_left_by_whoever_stops_early() -> None:
    before = threading.active_count()
    ahead = one_ahead(range(10))
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
