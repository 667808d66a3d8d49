"""How fast rows come: beside bare decoding and torch's DataLoader, and for several trials at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from torch.utils.data import DataLoader, Dataset

from lssat.data.prepared.decoding import decode, pixels_of
from lssat.data.prepared.rows import Rows
from lssat.data.prepared.table import RowGroup, row_groups, shard_paths
from lssat.on_ray.ingest import Split
from tests.benchmarks.performance.feeding.pictures import cores, opened, prepared, ray_here, rows, streamed
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import FEWEST_ROUNDS, Ratio, Times, interleaved

BATCH = 32
NUM_ROWS, IMAGE_SIZE = 2048, 224
STREAMED_ROWS = 12288
"""Data are streamed where they do not fit into memory, so that an epoch is long beside the second that a stream takes
to start (of 2,048 rows that second is a third).
"""
TRIALS = 4
PROSE = (
    "Whole epochs of shuffled batches without training, of JPEG files of 256 px that become 224 px. Bare decoding: as "
    "many processes as there are cores read the same files and decode them by the same function, and hand nothing on. "
    "DataLoader: a plain `torch.utils.data.Dataset` over the same files, decoded by the same function, with a worker "
    "per core that stays from epoch to epoch."
)
PROSE_OF_CACHED = (
    "The same of decoded rows in shared memory, beside a DataLoader over the decoded pictures in a memory-mapped array."
)
PROSE_OF_TRIALS = (
    "Processor time of decoding the same rows and of four processes that read an epoch of them, all at once, over that "
    "with one. A reader that decoded for itself would make it four."
)
HEADER = ("epoch", "images/s")


def sections(effort: Effort) -> Iterator[Section]:
    """Left out of a quick look: Ray takes its time to start."""
    if not effort.quick:
        yield streaming(STREAMED_ROWS, IMAGE_SIZE, effort.seconds)
        yield cached(NUM_ROWS, IMAGE_SIZE, effort.seconds)
        yield trials(NUM_ROWS, IMAGE_SIZE)


def streaming(num_rows: int, image_size: int, seconds: float) -> Section:
    """Beside bare decoding and torch's DataLoader, which decode the same files."""
    with prepared(num_rows) as folder, ray_here(), _decoders(folder, image_size) as bare:
        loader = DataLoader(Files(folder, image_size), **_loading())
        work = {
            "bare decoding": bare,
            "streamed": _epoch(rows(streamed(opened(folder, image_size)))),
            "DataLoader": lambda: _pass(loader),
        }
        times = interleaved(work, seconds)
    found = [
        Row("streamed / bare decoding: images/s", times.ratio("bare decoding", "streamed"), Aim("at least", 0.8)),
        Row("streamed / DataLoader: images/s", times.ratio("DataLoader", "streamed"), Aim("at least", 1)),
    ]
    return Section("Feeding: streamed rows", PROSE, found, _speeds(times, num_rows))


def cached(num_rows: int, image_size: int, seconds: float) -> Section:
    """Beside torch's DataLoader of the decoded pictures."""
    with prepared(num_rows) as folder, ray_here():
        split = opened(folder, image_size)
        loader = DataLoader(_array(folder, split, image_size), **_loading())
        times = interleaved({"cached": _epoch(rows(split)), "DataLoader": lambda: _pass(loader)}, seconds)
    row = Row("cached / DataLoader: images/s", times.ratio("DataLoader", "cached"), Aim("at least", 1))
    return Section("Feeding: cached rows", PROSE_OF_CACHED, [row], _speeds(times, num_rows))


def trials(num_rows: int, image_size: int) -> Section:
    """What several trials at once pay for decoding."""
    with prepared(num_rows) as folder, ray_here():
        processes = [Trial.remote() for _ in range(TRIALS)]
        ray.get([process.ready.remote() for process in processes])

        def spent(num_trials: int) -> float:
            began = _processor_seconds()
            split = opened(folder, image_size)
            ray.get([process.read.remote(split) for process in processes[:num_trials]])
            return _processor_seconds() - began

        spent(TRIALS)
        one, several = np.array([(spent(1), spent(TRIALS)) for _ in range(FEWEST_ROUNDS)]).T
    low, high = np.quantile(several / one, (0.25, 0.75))
    ratio = Ratio(float(np.median(several) / np.median(one)), float(low), float(high), FEWEST_ROUNDS)
    row = Row("four trials / one: processor time", ratio, Aim("at most", 1.25))
    table = [("trials", "seconds"), ("one", f"{np.median(one):.2f}"), ("four", f"{np.median(several):.2f}")]
    return Section("Feeding: four trials at once", PROSE_OF_TRIALS, [row], table)


class Files(Dataset):
    """Rows of prepared shards as a reader of torch's tutorial would write it: each is decoded when it is asked for."""

    def __init__(self, folder: Path, image_size: int) -> None:
        self._table = pa.concat_tables(
            pq.read_table(path, columns=["image", "label"]) for path in shard_paths(folder, "train")
        ).combine_chunks()
        self._image_size = image_size

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        data = self._table["image"][index].as_py()
        return pixels_of(data, self._image_size).copy(), self._table["label"][index].as_py()


class Decoded(Dataset):
    """Rows of a memory-mapped array."""

    def __init__(self, path: Path, label: Any) -> None:
        self._image, self._label = np.load(path, mmap_mode="r"), label

    def __len__(self) -> int:
        return len(self._label)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._image[index].copy(), int(self._label[index])


@ray.remote(num_cpus=0)
class Trial:
    """Reads cached rows in a process of its own."""

    def ready(self) -> None:
        """Nothing but that it is there, all that it imports included."""

    def read(self, split: Split) -> int:
        """An epoch."""
        return sum(len(batch.label) for batch in _batches(rows(split)))


def _processor_seconds() -> float:
    """That this process and all that it started have worked."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [own, *own.children(recursive=True)])


@contextmanager
def _decoders(folder: Path, image_size: int) -> Iterator[Callable[[], object]]:
    """An epoch of bare decoding."""
    groups = row_groups(shard_paths(folder, "train"))
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        yield lambda: sum(pool.map(decoded, groups, [image_size] * len(groups)))


def decoded(group: RowGroup, image_size: int) -> int:
    """How many rows were decoded, all of a row group."""
    columns = pq.ParquetFile(group.path).read_row_group(group.row_group, columns=["image", "label"]).to_pydict()
    return len(decode(columns | {"row": range(group.rows)}, image_size)["image"])


def _array(folder: Path, split: Split, image_size: int) -> Decoded:
    """The decoded rows, in a file."""
    batches = list(rows(split).batches(BATCH, -(-split.share_rows(0) // BATCH), None))
    path, label = folder.parent / "decoded.npy", np.concatenate([batch.label for batch in batches])
    image = np.lib.format.open_memmap(path, "w+", np.uint8, (len(label), image_size, image_size, 3))
    np.concatenate([batch.image for batch in batches], out=image)
    image.flush()
    return Decoded(path, label)


def _loading() -> dict[str, Any]:
    return {
        "batch_size": BATCH,
        "shuffle": True,
        "num_workers": cores(),
        "persistent_workers": True,
        "multiprocessing_context": "spawn",
    }


def _epoch(fed: Rows) -> Callable[[], object]:
    return lambda: _pass(_batches(fed))


def _batches(fed: Rows) -> Iterator[Any]:
    return fed.batches(BATCH, -(-fed.num_rows // BATCH), seed=0)


def _pass(batches: Any) -> int:
    return sum(1 for _ in batches)


def _speeds(times: Times, num_rows: int) -> list[tuple[str, str]]:
    return [HEADER, *((name, f"{num_rows / times.median(name):.0f}") for name in times.seconds)]
