"""A cluster's head that is lost: Ray would end this process a minute later, without a word."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lssat.on_ray.machine_fault import MachineFailed

LOOK_EVERY_S = 5.0
GIVE_UP_S = 45.0
"""Ray 2.60 gives up after 60 (`gcs_rpc_server_reconnect_timeout_s`)."""


def answers(address: str, timeout: float = LOOK_EVERY_S) -> bool:
    """Whether something listens at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout):
            return True
    except OSError:
        return False


@contextmanager
def watched(address: str, say: Callable[[str], None], lost: Callable[[MachineFailed], None]) -> Iterator[None]:
    """Look for the head at `host:port` within the context. `lost` is called where it is gone for good, from a thread:
    the others may wait for the head for ever.
    """
    over = threading.Event()
    threading.Thread(target=look, args=(address, say, lost, over), name="head", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def look(
    address: str, say: Callable[[str], None], lost: Callable[[MachineFailed], None], over: threading.Event
) -> None:
    """Look again and again until it is `over` or `lost`."""
    answered, is_said = time.monotonic(), False
    while not over.is_set():
        began = time.monotonic()
        if answers(address):
            if is_said:
                say(f"the cluster's head answers again, at {address}")
            answered, is_said = time.monotonic(), False
        elif time.monotonic() - answered > GIVE_UP_S:
            lost(
                MachineFailed(
                    f"the cluster's head has not answered at {address} for {time.monotonic() - answered:.0f} s; start "
                    "the cluster again"
                )
            )
            return
        elif not is_said:
            say(f"the cluster's head does not answer at {address}; {GIVE_UP_S:.0f} s are waited for it")
            is_said = True
        over.wait(max(0.0, LOOK_EVERY_S - (time.monotonic() - began)))
