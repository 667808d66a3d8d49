"""How every command of the project speaks and ends: what the user can repair, and Ctrl-C, are one line on standard
error and an exit code of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from lssat.errors import UserError

BAD_INPUT = 2
INTERRUPTED = 130
Notify = Callable[[str], None]
"""Takes one line that tells what happens, for the screen or a log."""


def exit_code(command: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """What `command` returns, None being 0; after a UserError 2, with its message on standard error; after Ctrl-C 130,
    with the line `interrupted`.
    """
    try:
        return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
