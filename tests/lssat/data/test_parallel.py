"""Processes that work for another: in order, quiet at Ctrl-C, and gone when it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lssat.data.parallel import chunks, in_processes

ROOT = Path(__file__).resolve().parents[3]
WAITS = """
import time
from lssat.data.parallel import in_processes
if __name__ == "__main__":
    print(next(in_processes(abs, [-1] * 2)), flush=True)
    list(in_processes(time.sleep, [60] * 4))
"""


def test_the_order_is_kept() -> None:
    assert list(in_processes(abs, range(-200, 0))) == list(range(200, 0, -1))


def test_chunks() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_processes((1).__truediv__, [1, 0, 2]))


def test_no_process_outlives_the_one_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    with subprocess.Popen(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        deadline = time.monotonic() + 20
        while len(children := psutil.Process(process.pid).children(recursive=True)) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=20)[1] == []
