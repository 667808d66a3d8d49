"""Work on many items in the processes of this machine, in order.

joblib's ordered generator (1.6, loky) was tried in place of this: while the consumer paused after its first result,
joblib had taken all 400 items of the input where this takes 8, so that memory is not bounded; and its workers went on
after the parent was killed. Starting and throughput were about equal.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.forkserver import ensure_running
from typing import Any, TypeVar

import joblib

WAITING = 4  # items per process that are asked for ahead of those whose results are taken: what bounds the memory
Item = TypeVar("Item")
Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""`function` of every item, in order: by processes here, or on a cluster."""


def in_processes(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`function`, which must be picklable, of every item, in order, a bounded number of them in flight.

    When the caller stops early, for an error or Ctrl-C, the items that processes work on are finished first.
    """
    processes = joblib.cpu_count()
    pool = ProcessPoolExecutor(processes, _context(), _follow_parent)
    waiting: deque[Future[Any]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= WAITING * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_threads(function: Callable[[Any], Any], items: Iterable[Any], waiting: int) -> Iterator[Any]:
    """`function` of every item, in order, `waiting` of them ahead of those whose results are taken: for what lets other
    threads run meanwhile, as decoding images does.
    """
    pool = ThreadPoolExecutor(joblib.cpu_count())
    ahead: deque[Future[Any]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > waiting:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def start_fork_server() -> None:
    """Begin the imports that every process needs, while the caller still has something else to do."""
    _context()
    ensure_running()


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some


def _context() -> multiprocessing.context.ForkServerContext:
    """Processes are forks of a small server that has the imports already and no threads: a fork is quick, and without
    threads it is as safe as a fresh interpreter.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lssat.data.prepare.opening"])
    return context


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, which stops the work in its own order, and end when the parent has been killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
