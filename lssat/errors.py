"""What a person can repair: commands show its message alone, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The message says what is wrong and how to go on. `lssat.command.exit_code` ends a command with it."""
