"""Trials of one core each, side by side, or one trial on all cores: which trains more images a second.

`python -m tests.benchmarks.performance.side_by_side LABEL` is such a trial of one core: it says "ready", does as many
steps as it is told on a line, and says "done".
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO

import torch

from tests.benchmarks.performance.machine import device
from tests.benchmarks.performance.overhead import AT_64
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import interleaved

LABELS = ("ViT", "ResNet", "EfficientNet", "ConvNeXt")
STEPS = 4
TITLE = "Trials side by side"
PROSE = (
    "Joint steps at the laptop's setting: images/s of as many trials as torch has threads here, one thread each and "
    "all at once, over those of one trial with all threads. Above 1, trials of one core are the better use of a "
    "machine; so spaces/backbones.yaml has it."
)


def sections(effort: Effort) -> Iterator[Section]:
    """On a CPU with several cores; left out of a quick look."""
    threads = torch.get_num_threads()
    if effort.quick or device().type == "cuda" or threads == 1:
        return
    yield Section(TITLE, PROSE, [_row(label, threads, effort.seconds) for label in LABELS])


def _row(label: str, threads: int, seconds: float) -> Row:
    alone = _trained(label)
    with ExitStack() as stack:
        others = [stack.enter_context(_begun(label)) for _ in range(threads)]
        stack.callback(lambda: [each.terminate() for each in others])
        for each in others:
            _await(each, "ready")
        work: dict[str, Callable[[], object]] = {
            "one": lambda: [alone() for _ in range(STEPS)],
            "several": lambda: _step_all(others),
        }
        times = interleaved(work, seconds)
    name = f"{label}, 64 px: {threads} trials of one thread / one of {threads}"
    return Row(name, times.ratio("one", "several", threads), Aim("at least", 1))


def _trained(label: str) -> Callable[[], object]:
    return next(family for family in AT_64 if family.label == label).trained(auxiliary=True).step


def _begun(label: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.performance.side_by_side", label]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _step_all(trials: Sequence[subprocess.Popen[str]]) -> None:
    for trial in trials:
        print(STEPS, file=_pipe(trial.stdin), flush=True)
    for trial in trials:
        _await(trial, "done")


def _await(trial: subprocess.Popen[str], word: str) -> None:
    said = _pipe(trial.stdout).readline().strip()
    if said != word:
        raise RuntimeError(f"a trial said {said!r} in place of {word!r}")


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _obey(label: str) -> None:
    torch.set_num_threads(1)
    step = _trained(label)
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            step()
        print("done", flush=True)


if __name__ == "__main__":
    _obey(sys.argv[1])
