"""How every command of the project speaks and ends: what the user can repair, and Ctrl-C, are one line on standard
error and an exit code of their own. SIGTERM (`kill`, `scancel`, `docker stop`) and SIGHUP are Ctrl-C with other codes.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from lssat.errors import UserError

BAD_INPUT = 2
INTERRUPTED = 130
STOPPING = (signal.SIGTERM, signal.SIGHUP)
Notify = Callable[[str], None]
"""Takes one line that tells what happens, for the screen or a log."""
COMMANDS = {
    "python search/run.py": "lssat-search",
    "python search/compare.py": "lssat-compare",
    "python search/across.py": "lssat-across",
    "python search/role.py": "lssat-role",
    "python search/report.py": "lssat-report",
    "python search/dashboard.py": "lssat-dashboard",
    "python -m lssat.prepare": "lssat-prepare",
    "python -m lssat.evaluate": "lssat-evaluate",
    "python -m lssat.export": "lssat-export",
    "python -m lssat.demo": "lssat-demo",
    "python -m lssat.predict": "lssat-predict",
}
"""What is typed in a clone, and where the project is installed (`project.scripts` of pyproject.toml)."""
EXTRAS = {
    "export": ("onnx", "onnxscript"),
    "explain": ("captum",),
    "demo": ("nicegui", "captum", "starlette"),
}
"""Libraries that the search does without (`project.optional-dependencies` of pyproject.toml)."""


def command_parser(command: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The parser of one of `COMMANDS`. Its help shows the commands in the form in which this one was typed."""
    if _is_installed_command():
        for typed, installed in COMMANDS.items():
            command, description, epilog = (text.replace(typed, installed) for text in (command, description, epilog))
    return argparse.ArgumentParser(
        prog=command,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def words_that_started() -> list[str]:
    """What to type to start this program again, without its arguments."""
    program = sys.argv[0]
    if not _is_installed_command():
        return [os.path.relpath(sys.executable), os.path.relpath(program)]
    name = Path(program).name
    return [name if shutil.which(name) == program else os.path.relpath(program)]


def words_that_start(command: str) -> list[str]:
    """What to type to start another of `COMMANDS`, in the form in which this one was typed."""
    if _is_installed_command():
        return [COMMANDS[command]]
    return [os.path.relpath(sys.executable), *command.split()[1:]]


def _is_installed_command() -> bool:
    return Path(sys.argv[0]).name in COMMANDS.values()


def from_here(path: Path) -> str:
    """The path as it is typed in the working directory, where it lies below that."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def is_address(text: str) -> bool:
    """Whether a text names something elsewhere, `s3://...` for instance, which as a path would be a folder `s3:`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def local_path(text: str) -> Path:
    """The type of command-line arguments that are paths. argparse shows the error as a line of its own."""
    if is_address(text):
        raise argparse.ArgumentTypeError(
            f"must be a path of this machine, but got the address {text!r}; mount it, or copy it, and give its path"
        )
    return Path(text)


def check_extra(extra: str) -> None:
    """Raises UserError where a library of one of EXTRAS is not installed. None is imported."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {', '.join(missing)}, which the extra brings: pip install '.[{extra}]'")


def exit_code(command: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """What `command` returns, None being 0; after a UserError 2, with its message on standard error; after Ctrl-C 130,
    with the line `interrupted`. A command that says of itself that it was interrupted returns 130; where SIGTERM or
    SIGHUP came, that becomes 143 or 129.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the name of a file need not be text
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not came:  # further ones must not disturb the end
            came.append(number)
            raise KeyboardInterrupt

    try:
        with _handled(STOPPING, stop):
            code = command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        code = INTERRUPTED
    return 128 + came[0] if came and code == INTERRUPTED else code


@contextmanager
def signals_wait() -> Iterator[None]:
    """Inside, Ctrl-C and the signals that are like it wait: what is half begun there could not be taken back.

    Whatever handlers others set inside are gone afterwards.
    """
    came: list[int] = []
    try:
        with _handled((signal.SIGINT, *STOPPING), lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Inside, these signals go to `handler`, but for those that are ignored, as `nohup` wants it."""
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
