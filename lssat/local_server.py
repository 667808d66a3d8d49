"""What servers of pages have in common: they are for this machine alone, whoever asks and under whichever name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from lssat.errors import ConfigError

HOST = "127.0.0.1"
Server = TypeVar("Server")


def port(text: str) -> int:
    """The type of command-line arguments that are ports. argparse shows the error as a line of its own."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, but got {text!r}")
    return int(text)


def is_for_here(host: str) -> bool:
    """Whether a request's `Host` is this machine: a page of elsewhere may have made its own name lead here."""
    return host.partition(":")[0] in (HOST, "localhost")


def bound(make: Callable[[], Server], port: int) -> Server:
    """The server that `make` binds to a port. Raises ConfigError where it cannot be had."""
    try:
        return make()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a port is a number from 0 to 65535"
        raise ConfigError(
            f"port {port} of {HOST} cannot be had ({reason}); choose another by `--port N`, or `--port 0` for any that "
            "is free"
        ) from None
