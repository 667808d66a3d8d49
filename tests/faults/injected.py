"""What a fault cost: each test that injects one says so, and `make faults` writes docs/faults.md of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

FOLDER = "LSSAT_FAULTS"
"""The variable with the folder that is written to; without it nothing is."""


@dataclass(frozen=True)
class Fault:
    """A row of the page. `how`: the command that injected it. `lost`: of trained epochs and of the record. `seconds`:
    from the fault until the next epoch, or until the command had ended where it ends; None: nothing to recover from.
    `after`: what a person does.
    """

    fault: str
    how: str
    lost: str
    seconds: float | None
    after: str = "nothing"


@pytest.fixture
def injected(request: pytest.FixtureRequest) -> Callable[[Fault], None]:
    """Writes down a fault that a test has injected, once the test knows what became of it."""

    def write(fault: Fault) -> None:
        if folder := os.environ.get(FOLDER):
            name = re.sub(r"\W+", "-", request.node.name)
            text = json.dumps({**asdict(fault), "test": request.node.nodeid.partition("[")[0]})
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, f"{name}.json").write_text(text)

    return write


def keep_transcript(lines: list[str]) -> None:
    """What a launch on several machines said, for the page."""
    if folder := os.environ.get(FOLDER):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "transcript.txt").write_text("\n".join(lines) + "\n")
