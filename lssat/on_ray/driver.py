"""How a process starts Ray or joins a cluster, and leaves it: whole, and with its signals still its own."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.node import Node

from lssat.command import signals_wait

NOT_UP = "timed out during startup"
"""Of the message after the 30 s that Ray gives itself to start, which is no setting (Ray 2.60)."""

# Linux ends what a thread has begun for Ray with that thread, so this one stays.
_starter = ThreadPoolExecutor(1, "ray")
_begun: list[Future[None]] = []  # Ray is one in a process, and so is its start


def begin(starts: Callable[[], None]) -> None:
    """Let `starts` start Ray while this process imports and prepares what it needs: see `wait_until_up`, `stop`."""
    _begun.append(_starter.submit(starts))


def wait_until_up(starts: Callable[[], None]) -> None:
    """Wait for what has begun or, where nothing has, begin it. Raises what `starts` raises."""
    if not _begun:
        begin(starts)
    try:
        _begun[0].result()
    finally:
        if _begun[0].done():
            _begun.clear()


def start(address: str, **options: Any) -> None:
    """`ray.init`, which loses sight of processes that it has begun where it is interrupted.

    Signals come to the main thread alone; where Ray starts beside it, `stop` waits for what has begun.

    SIGTERM stays with `lssat.command`: Ray would end this process by it without a word (Ray 2.60).
    """
    os.environ["RAY_DISABLE_FAILURE_SIGNAL_HANDLER"] = "1"
    ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER = True  # what this process has read when it imported Ray
    ray._private.utils.set_sigterm_handler = lambda handler: None
    # What it says goes to a file, but it would colour the dashboard's address, and how often a line was repeated.
    logging.getLogger("ray._private.worker").setLevel(logging.WARNING)
    ray._private.ray_logging._color = str
    is_alone = threading.current_thread() is threading.main_thread()
    with signals_wait() if is_alone else nullcontext():
        ray.init(address, **options)


def is_late(error: Exception) -> bool:
    """Whether Ray was not up in time, as on a busy machine. What it had begun, and has lost sight of, is ended."""
    if NOT_UP not in str(error):
        return False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if isinstance(node := frame.f_locals.get("self"), Node):
            node.kill_all_processes(check_alive=False, allow_graceful=False)
            break
    return True


def address() -> str:
    """`host:port` of the head of the Ray that this process belongs to."""
    return str(ray.get_runtime_context().gcs_address)


def stop() -> None:
    """Stop the Ray that was started here, or leave the cluster."""
    with signals_wait():
        wait(_begun)
        _begun.clear()
        ray.shutdown()
