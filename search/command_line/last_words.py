"""What is said where this process ends before it can say anything: Ray ends it so where its raylet has died."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def last_words(words: Callable[[], str], terminal: int) -> Iterator[Callable[[], None]]:
    """Have `words` written to a file descriptor, by a process of their own, if this process ends within the context and
    never leaves it. Gives what makes them unneeded.
    """
    reads, writes = os.pipe()
    waiting = os.fork()
    if waiting == 0:
        _wait(reads, writes, words, terminal)
    os.close(reads)
    open_ends = [writes]

    def leave() -> None:
        if open_ends:
            os.write(open_ends[0], b".")
            os.close(open_ends.pop())
            os.waitpid(waiting, 0)

    try:
        yield leave
    finally:
        leave()


def _wait(reads: int, writes: int, words: Callable[[], str], terminal: int) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # they reach all processes of a terminal
    try:
        os.close(writes)
        if not os.read(reads, 1):
            os.write(terminal, words().encode())
    finally:
        os._exit(0)
