"""Small studies of the command line that are kept in a storage, on this machine or on a Ray cluster of their own."""

import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.storage.s3 import free_port

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
fixed: {backbone.name: test_resnet, data.image_size: 32, masking.unit: 8, optim.epochs: 2, optim.warmup_epochs: 0,
  optim.batch_size: 16, decoder.dim: 32, resources.cpus_per_worker: 1}
space:
  optim.lr: {low: 0.001, high: 0.02, log: true}
search: {num_trials: 3, sampler: random, scheduler: asha, grace_epochs: 1, reduction_factor: 2, max_concurrent: 1,
  finalists: 1, final_seeds: 2, supervised: none}
"""
STREAMING = "from lssat.on_ray import ingest; ingest.MEMORY_SHARE = 0; from search import run; exit(run.main())"
"""The command where no split fits into memory."""


@contextmanager
def ray_of_three_cores(environment, dashboard="true"):
    """Its address. `environment`: what trials on it have beside this process's."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # Ray's sockets need a short path
    address = f"127.0.0.1:{free_port()}"
    head = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={address.split(':')[1]}"]
    head += [f"--temp-dir={folder}", "--num-cpus=3", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
    head += [f"--include-dashboard={dashboard}", "--dashboard-port=0", "--disable-usage-stats"]
    log = folder / "head.txt"
    with log.open("w") as said:
        node = subprocess.Popen(list(map(str, head)), env=os.environ | environment, stdout=said, stderr=said)
    try:
        wait_for(lambda: "Ray runtime started" in log.read_text())
        yield address
    finally:
        node.terminate()
        node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def write_faces(path, train=64, others=32):
    """Bright and dark noise: learnable at once."""
    random = np.random.default_rng(0)
    rows = {"image": [], "bright": [], "split": []}
    for split, number in (("train", train), ("val", others), ("test", others)):
        for index in range(number):
            out = io.BytesIO()
            pixels = random.integers(0, 200, (32, 32, 3)) + 15 * (index % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            for name, value in (("image", out.getvalue()), ("bright", index % 2), ("split", split)):
                rows[name].append(value)
    pq.write_table(pa.table(rows), path)


class Study:
    """A study of the command line on such faces; each of its heads is a folder for results that can be lost."""

    def __init__(self, folder, faces, store=None, storage=None, streams=False, space=SPACE):
        self.results, self.faces, self._store = folder / "results", faces, store
        folder.mkdir()
        self.space = folder / "space.yaml"
        self.space.write_text(space)
        self.storage = storage
        self._entry = ["-c", STREAMING] if streams else [ROOT / "search/run.py"]

    @property
    def path(self):
        return self.results / "study"

    def start(self, *words):
        command = [sys.executable, *self._entry, "--space", self.space, "--data", self.faces]
        command += ["--task", "bright", "--results", self.results, "--name", "study", "--profile", "laptop"]
        command += ["--storage", self.storage] if self.storage else []
        environment = os.environ | (self._store.environment if self._store else {}) | {"COLUMNS": "200"}
        return subprocess.Popen(
            [*map(str, command), *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words, code=0):
        """To its end; what it said."""
        process = self.start(*words)
        said, _ = process.communicate(timeout=400)
        assert process.returncode == code, said
        return said

    def epochs(self):
        """On record so far."""
        return sum(len(file.read_text().splitlines()) for file in self.path.glob("*/*/metrics.jsonl"))

    def lose_head(self):
        """The machine of the driver is gone, with all that was on it."""
        shutil.rmtree(self.results)

    def table(self):
        """The final table and the leaderboard, without what a clock says."""
        tables = []
        for path in sorted({self.path / "leaderboard.csv", *self.path.glob("finals.csv")}):
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            clocked = ("images_per_s", "seconds", "flops_per_s", "hours")
            tables.append([{k: v for k, v in row.items() if not any(c in k for c in clocked)} for row in rows])
        return tables


def kill(process):
    """SIGKILL to the driver and all that it started."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.kill() if isinstance(each, subprocess.Popen) else _kill(each)
    process.wait()


def _kill(process):
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def wait_for(condition, seconds=200):
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
