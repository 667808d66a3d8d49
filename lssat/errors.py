"""What a person can repair: commands show its message alone, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The message says what is wrong and how to go on. `lssat.command.exit_code` ends a command with it."""


class ConfigError(UserError, ValueError):
    """A setting that breaks a rule. The message states rule, value, location and how to repair it."""


def why_of(error: BaseException) -> str:
    """An error within a sentence: what a person can repair by its message, all else with its kind before."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
