"""Record the learning curve of every cell of a finite grid, so that searches can be replayed without training.

`python -m tests.benchmarks.efficiency.record --grid emotion --processes 2` goes on after the last finished cell; one
row of the table is one epoch of one cell. The grid of real faces needs their table: `--grid faces --data FILE`.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import io
import json
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from optuna.trial import FixedTrial

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.rows import Rows
from lssat.data.prepared.table import read_info, shard_paths
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from search.space.definition import Space
from search.space.file import load
from tests.benchmarks.efficiency.grids import GRIDS, curves_of, space_of

MEASURED = ("epoch", "val/score", "val/best", "cpu_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", choices=GRIDS, required=True)
    parser.add_argument("--data", help="a table instead of the grid's own data")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("results/.data"))
    arguments = parser.parse_args()
    space = load(space_of(arguments.grid), "laptop", {"data.source": arguments.data} if arguments.data else {}, {})
    prepared = prepare(build(space.fixed).data, arguments.cache, print)
    missing = sorted(set(range(len(space.points()))) - recorded(curves_of(arguments.grid)))
    print(f"{len(space.points())} cells, {len(missing)} to record", flush=True)
    shares = [missing[first :: arguments.processes] for first in range(arguments.processes)]
    jobs = [(arguments.grid, space, share, prepared) for share in shares]
    workers = [get_context("spawn").Process(target=record, args=job) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def recorded(path: Path) -> set[int]:
    """The cells that a table holds."""
    if not path.is_file():
        return set()
    with path.open(newline="") as file:
        return {int(row["cell"]) for row in csv.DictReader(file)}


def record(grid: str, space: Space, numbers: Sequence[int], prepared: Path) -> None:
    """Train some cells, one after another on one core, and append each when it is finished."""
    torch.set_num_threads(1)
    points = space.points()
    size = build(space.fixed).data.image_size
    train, val = (read_resident(shard_paths(prepared, split), size) for split in ("train", "val"))
    for number in numbers:
        epochs = curve(space, points[number], prepared, train, val)
        append(curves_of(grid), space.searched_keys, number, space.sample(FixedTrial(points[number])), epochs)
        print(
            f"cell {number}: best {epochs[-1]['val/best']:.4f}, {epochs[-1]['cpu_s']:.1f} s, "
            f"{json.dumps(points[number])}",
            flush=True,
        )


def curve(space: Space, point: dict[str, Any], prepared: Path, train: Rows, val: Rows) -> list[dict[str, Any]]:
    """What each epoch of one cell measured; `cpu_s` are seconds of this process since the cell began."""
    epochs: list[dict[str, Any]] = []
    started = time.process_time()
    config = build(space.sample(FixedTrial(point)))
    run = TrainingRun(config, read_info(prepared).as_task, train, val, Distributed(torch.device("cpu")))
    fit(run, lambda result: epochs.append({**result.to_json(), "cpu_s": time.process_time() - started}))
    return epochs


def append(path: Path, keys: Sequence[str], number: int, sampled: dict[str, Any], epochs: list[dict[str, Any]]) -> None:
    """Add a finished cell in one write under a lock, so that the table never holds half a cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with path.open("a", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not path.stat().st_size:
            writer.writerow(["cell", *keys, *MEASURED])
        for result in epochs:
            measured = [result["epoch"], *(round(result[key], 5) for key in MEASURED[1:])]
            writer.writerow([number, *(sampled.get(key, "") for key in keys), *measured])
        file.write(text.getvalue())
        file.flush()


if __name__ == "__main__":
    main()
