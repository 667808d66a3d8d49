"""The survey of one module in a process of its own, so that a native crash is a row of the table and not its end.

`python -m lssat.tools.encoder_child MODULE` is that process: it prints its row as JSON, and before each attempt what it
is about to try.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lssat.tools.encoder_survey import Row, survey

CHILD = (sys.executable, "-m", "lssat.tools.encoder_child")
LIMIT_S = 1800
"""Seconds after which a module counts as hanging."""


def survey_in_child(module: str, child: Sequence[str] = CHILD, limit_s: float = LIMIT_S) -> Row:
    """The row that the command `child` finds of a module. Where the process dies or hangs, what it was about to try,
    with how it ended as the reason.
    """
    printed, reason = run_child([*child, module], limit_s)
    row = _last(module, printed)
    return replace(row, step=False, contract=False, reason=reason) if reason else row


def run_child(command: Sequence[str], limit_s: float = LIMIT_S) -> tuple[bytes, str]:
    """What a process printed, and how it ended where it died or hung; "" where all went well."""
    try:
        ended = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", f"its process was not done after {limit_s:g} s"
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    reason = f"its process {_how(ended.returncode)}" + (f": {said[-1]}" if said else "")
    return ended.stdout, reason if ended.returncode else ""


def main(module: str) -> None:
    """Survey a module and print its row. Whatever else is printed goes to standard error."""
    rows = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        print(_line(survey(module, lambda row: print(_line(row), file=rows, flush=True))), file=rows, flush=True)


def _line(row: Row) -> str:
    return json.dumps(asdict(row))


def _last(module: str, printed: bytes) -> Row:
    """The last row that was printed; an empty one where there is none."""
    lines = printed.splitlines()
    return Row(**json.loads(lines[-1])) if lines else Row(module, "-", 0)


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


if __name__ == "__main__":
    main(sys.argv[1])
