"""The survey of a module in a process of its own: that process may end as it likes, and a row comes of it."""

from __future__ import annotations

import dataclasses
import json
import sys
import time

import pytest

from lssat.tools.encoder_child import survey_in_child
from lssat.tools.encoder_survey import Row
from lssat.tools.encoders import survey_all

BEGUN = Row("fastvit", "fastvit_t8", 3_257_232, "pyramid", 64, 16)
GOOD = dataclasses.replace(BEGUN, step=True, contract=True)


def child(*statements: str) -> list[str]:
    """A process that runs these statements."""
    return [sys.executable, "-c", "\n".join(["import os, signal, sys, time", *statements])]


def printing(row: Row) -> str:
    return f"print({json.dumps(dataclasses.asdict(row))!r}, flush=True)"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os.abort()", "its process was ended by SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        (
            "os.write(2, b'malloc(): invalid size\\n'); os.abort()",
            "its process was ended by SIGABRT: malloc(): invalid size",
        ),
        ("raise OSError('no room')", "its process ended with exit code 1: OSError: no room"),
    ],
)
def test_process_that_dies_is_a_row_of_what_it_was_about_to_try(end: str, reason: str) -> None:
    assert survey_in_child("fastvit", child(printing(BEGUN), end)) == dataclasses.replace(BEGUN, reason=reason)


def test_process_that_dies_after_its_last_row_is_refused() -> None:
    """Corrupt memory is noticed late, often as the process frees it at its end."""
    row = survey_in_child("fastvit", child(printing(GOOD), "os.abort()"))
    assert row == dataclasses.replace(BEGUN, reason="its process was ended by SIGABRT")


def test_process_that_dies_before_it_says_anything_is_a_row() -> None:
    row = survey_in_child("fastvit", child("os.abort()"))
    assert row == Row("fastvit", "-", 0, reason="its process was ended by SIGABRT")


def test_process_that_hangs_is_ended() -> None:
    started = time.monotonic()
    row = survey_in_child("fastvit", child(printing(BEGUN), "time.sleep(600)"), limit_s=2)
    assert row == dataclasses.replace(BEGUN, reason="its process was not done after 2 s")
    assert time.monotonic() - started < 30


def test_last_row_counts_where_all_goes_well() -> None:
    assert survey_in_child("fastvit", child(printing(BEGUN), printing(GOOD))) == GOOD


def test_modules_after_one_that_dies_are_surveyed(capsys: pytest.CaptureFixture[str]) -> None:
    dies_at_fastvit = child("if sys.argv[1] == 'fastvit': os.abort()", printing(GOOD))
    dead, good = survey_all(["fastvit", "resnet"], dies_at_fastvit, lambda row: "yes")
    assert "SIGABRT" in dead.reason and not dead.onnx
    assert good == dataclasses.replace(GOOD, onnx="yes")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[1/2, ")
    assert " its process was ended by SIGABRT " in first
    assert second.startswith("[2/2, 0 min left]")
