"""How every command of the project speaks and ends: bad input is one line on standard error and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lssat.config import ConfigError

BAD_INPUT = 2
INTERRUPTED = 130
Notify = Callable[[str], None]
"""Takes one line that tells what happens, for the screen or a log."""


def exit_code(command: Callable[[], int | None]) -> int:
    """What `command` returns, None being 0; after a ConfigError 2, with its message on standard error."""
    try:
        return command() or 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
