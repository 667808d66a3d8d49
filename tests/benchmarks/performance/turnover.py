"""What a study costs beside its training: seconds to its first step, and from a trial's end to the next one's first
step; and how soon a command answers that trains nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lssat.storage.place import Place
from lssat.train.result import EVALUATION_SECONDS, TRAINING_SECONDS
from search.record.folder import RunFolder, Stage, Storage
from search.record.trials import TrialRecord
from tests.benchmarks.performance.record import ROOT
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import FEWEST_ROUNDS, Ratio

SPACE = """
objective: {metric: auc} # of few images, accuracy ties too often for any trial to be stopped
fixed:
  data.image_size: 32
  masking.unit: 8
  backbone.name: test_efficientnet
  optim.epochs: 4
  optim.batch_size: 16
  decoder.dim: 32
space:
  optim.lr: {low: 1e-5, high: 1e-2, log: on}
  aux_weight: {low: 0.1, high: 0.9}
search: {sampler: random, grace_epochs: 1, reduction_factor: 2, finalists: 0}
"""
ONE_EPOCH = ("--set", "optim.epochs=1", "--set", "optim.warmup_epochs=0")
GROUPS = ("--set", "resources.num_workers=2", "--set", "resources.cpus_per_worker=1")
PROSE = (
    "Seconds on this machine, of a study of 96 small pictures of noise whose trials train an epoch each. A first step "
    "is when the trial's checkpoint was written, less the epoch's training and evaluation as the study records them; a "
    "trial's end is when its last epoch was recorded. A study starts where its command does, and prepares its data on "
    "the way. Trials train side by side, one a core. `--help` and an unknown key: the whole command."
)
PROSE_TOGETHER = "The same of trials with two workers, one trial after the other."


class Moments(NamedTuple):
    """In seconds since 1970."""

    first_step: float
    end: float


def sections(effort: Effort) -> Iterator[Section]:
    """Left out of a quick look: studies take their time."""
    if not effort.quick:
        with tempfile.TemporaryDirectory() as temporary:
            yield alone(Path(temporary), num_trials=12)
        with tempfile.TemporaryDirectory() as temporary:
            yield together(Path(temporary), num_trials=3)


def alone(folder: Path, num_trials: int) -> Section:
    """Of a study whose trials have one worker, and of commands that train nothing."""
    start, gaps = _turnover(folder, num_trials)
    rows = [
        _row("study's start to its first step", [start], 10),
        _row("trial's end to the next one's first step, one worker", gaps, 0.5),
        _row("`--help`", _answers("--help"), 0.5),
        _row("an unknown key", _answers("--space", _mistaken(folder)), 0.5),
    ]
    return Section("Turnover, in seconds", PROSE, rows)


def together(folder: Path, num_trials: int) -> Section:
    """Of a study whose trials have two workers."""
    _, gaps = _turnover(folder, num_trials, *GROUPS)
    rows = [_row("trial's end to the next one's first step, two workers", gaps, 6)]
    return Section("Turnover of trials with two workers, in seconds", PROSE_TOGETHER, rows)


def noise_table(folder: Path) -> Path:
    """A table of 160 pictures of 32 px with labels that no trial can learn, so that trials differ."""
    random = np.random.default_rng(0)
    names, wrong = [f"{index}.png" for index in range(160)], random.random(160) < 0.25
    for index, name in enumerate(names):
        pixels = random.integers(0, 200, (32, 32, 3)) + 30 * (index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    split = ["train"] * 96 + ["val"] * 32 + ["test"] * 32
    columns = {"image": names, "bright": (np.arange(160) % 2) ^ wrong, "split": split}
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


def command(folder: Path, table: Path, *more: str) -> list[str]:
    """What runs a study of these noises; its results lie in `folder`."""
    (folder / "bench.yaml").write_text(SPACE)
    given = {"--space": folder / "bench.yaml", "--data": table, "--task": "bright", "--results": folder / "results"}
    words = [str(word) for pair in given.items() for word in pair]
    return [sys.executable, str(ROOT / "search/run.py"), *words, *more]


def run_folder(folder: Path) -> RunFolder:
    """Where `command` leaves its results."""
    return RunFolder(folder / "results" / "bench-table-bright")


def gaps_between(trials: Sequence[Moments]) -> list[float]:
    """Seconds from a trial's end to the first step of the one that came in its place: of those that had ended before
    that step and whose place was not taken yet, the last. The trials that begin before any has ended took none.
    """
    gaps, ends = [], sorted(each.end for each in trials)
    for start in sorted(each.first_step for each in trials):
        if before := [end for end in ends if end <= start]:
            ends.remove(before[-1])
            gaps.append(start - before[-1])
    return gaps


def _turnover(folder: Path, num_trials: int, *more: str) -> tuple[float, list[float]]:
    """Seconds to the first step of a study, and those between its trials."""
    words = command(folder, noise_table(folder), "--num-trials", str(num_trials), *ONE_EPOCH, *more)
    began = time.time()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    results = run_folder(folder)
    found = [_moments(results, record) for record in results.records(Stage.SEARCH)]
    return min(each.first_step for each in found) - began, gaps_between(found)


def _moments(results: RunFolder, record: TrialRecord) -> Moments:
    """Of a trial of one epoch."""
    best = Storage(Place.of(results.path)).best(Stage.SEARCH, record.name)
    saved = min(path.stat().st_mtime for path in best.iterdir())
    metrics = record.epochs[0].metrics
    return Moments(saved - metrics[TRAINING_SECONDS] - metrics[EVALUATION_SECONDS], record.moments[-1][0])


def _answers(*words: str) -> list[float]:
    """Seconds of the command, again and again."""
    found = []
    for _ in range(FEWEST_ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "search/run.py"), *words], capture_output=True)
        found.append(time.perf_counter() - began)
    return found[1:]


def _mistaken(folder: Path) -> str:
    path = folder / "mistaken.yaml"
    path.write_text(SPACE.replace("optim.epochs", "optim.epoch"))
    return str(path)


def _row(name: str, seconds: Sequence[float], aim: float) -> Row:
    low, high = np.quantile(seconds, (0.25, 0.75))
    return Row(
        f"{name}, s", Ratio(float(np.median(seconds)), float(low), float(high), len(seconds)), Aim("at most", aim)
    )
