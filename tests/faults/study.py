"""A small study that comes to the same end each time, one trial after the other, and what became of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from lssat.train.result import CLOCKED

ROOT = Path(__file__).resolve().parents[2]
SPACE = {
    "fixed": {
        "backbone.name": "test_vit",
        "backbone.patch_size": 8,
        "data.image_size": 32,
        "masking.unit": 8,
        "decoder.dim": 32,
        "optim.epochs": 6,
        "optim.batch_size": 16,
        "optim.precision": "float32",
    },
    "space": {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "aux_weight": {"low": 0.1, "high": 0.9}},
    "search": {"sampler": "random", "scheduler": "none", "num_trials": 3, "finalists": 0, "max_concurrent": 1},
}


def squares(folder: Path, train: int = 480) -> Path:
    """A table of plain and striped squares."""
    random = np.random.default_rng(0)
    rows: dict[str, list] = {"image": [], "label": [], "split": []}
    for number in range(train + 96):
        pixels = random.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        pixels[:, :: 4 if number % 2 else 32] += 120
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        rows["image"].append(file.getvalue())
        rows["label"].append("striped" if number % 2 else "plain")
        rows["split"].append("train" if number < train else "val" if number < train + 64 else "test")
    path = folder / "squares.parquet"
    if not path.exists():
        pq.write_table(pa.table(rows), path)
    return path


def words(folder: Path, *more: str, **search: object) -> list[str]:
    """The command of the study whose run folder is `run_folder(folder)`. `search`: settings of that section."""
    space = folder / "tiny.yaml"
    space.write_text(yaml.safe_dump({**SPACE, "search": {**SPACE["search"], **search}}))
    data = squares(folder)
    command = [sys.executable, "search/run.py", "--space", space, "--data", data, "--task", "label"]
    return [str(word) for word in [*command, "--results", folder / "results", "--name", "study", *more]]


def run_folder(folder: Path) -> Path:
    """Where the study is."""
    return folder / "results" / "study"


@dataclass
class Command:
    """A search that runs, and all that it has said so far."""

    process: subprocess.Popen
    folder: Path
    said: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, command: list[str], folder: Path, **env: str) -> Command:
        """Start it. Ctrl-C reaches it, whatever shell started the tests."""
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
            env={**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, **env},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        made = cls(process, run_folder(folder))
        threading.Thread(target=made._listen, daemon=True).start()
        return made

    @property
    def text(self) -> str:
        """What it has said."""
        return "".join(self.said)

    def end(self, seconds: float = 240) -> int:
        """Its exit code, once it has ended."""
        try:
            code = self.process.wait(seconds)
            time.sleep(0.5)  # for its last words
            return code
        except subprocess.TimeoutExpired:
            raise AssertionError(self.text) from None
        finally:
            self.stop()

    def stop(self) -> None:
        """End it, however it goes."""
        with contextlib.suppress(psutil.Error):
            below = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for each in below:
                with contextlib.suppress(psutil.Error):
                    each.kill()

    def wait(self, holds: Callable[[], object], seconds: float = 120) -> float:
        """Until something holds; the seconds that it took."""
        began = time.monotonic()
        while not holds():
            assert self.process.poll() is None or holds(), self.text
            assert time.monotonic() - began < seconds, self.text
            time.sleep(0.05)
        return time.monotonic() - began

    def epochs(self, trial: str = "0000") -> int:
        """How many epochs of a trial are on record."""
        path = self.folder / "trials" / trial / "metrics.jsonl"
        return path.read_text().count("\n") if path.exists() else 0

    def below(self, name: str) -> list[psutil.Process]:
        """The processes below the command whose own say `name`."""
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if name in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                        found.append(child)
        return found

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)


def outcomes(folder: Path) -> dict[str, dict]:
    """How each trial of a run folder ended."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("trials/*/outcome.json"))}


def curves(folder: Path) -> dict[str, list[dict]]:
    """All that was measured in each epoch of each trial, but for what a clock says."""
    found = {}
    for path in sorted(folder.glob("trials/*/metrics.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        found[path.parent.name] = [
            {key: value for key, value in line.items() if key not in (*CLOCKED, "time", "seconds")} for line in lines
        ]
    return found
