"""Preparing a tree of CelebA's shape: how fast beside a bare loop, how much memory, and what 1,000 damaged files
become.
"""

from __future__ import annotations

import io
import os
import random
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.table import read_info

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
NAMES = ("Male", "Young", "Smiling")


def celeba(root: Path, count: int) -> Path:
    """`count` different images of 178 x 218 pixels, as smooth and as noisy as photos."""
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    smooth = [
        np.asarray(
            Image.fromarray(generator.integers(0, 255, (8, 7, 3), np.uint8)).resize(
                (178, 218), Image.Resampling.BICUBIC
            )
        )
        for _ in range(50)
    ]
    lines, parts = [str(count), " ".join(NAMES) + " "], []
    for number in range(count):
        noise = generator.integers(0, 12, (218, 178, 1), np.uint8)
        picture = np.clip(
            smooth[number % 50].astype(int) // 2 + np.roll(smooth[number // 50 % 50], number % 97, 0) // 2 + noise,
            0,
            255,
        )
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number + 1:06d}.jpg", quality=90)
        lines.append(f"{number + 1:06d}.jpg " + " ".join(f"{value:2d}" for value in generator.choice([-1, 1], 3)))
        parts.append(f"{number + 1:06d}.jpg {(0, 0, 0, 0, 0, 0, 0, 0, 1, 2)[number % 10]}")
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (root / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return root


def bare(job: tuple[list[str], str]) -> int:
    """Decode, crop, encode and write, and nothing else."""
    paths, shard = job
    images = []
    for path in paths:
        with Image.open(path) as picture:
            square = picture.convert("RGB").crop((0, 20, 178, 198)).resize((178, 178), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        square.save(buffer, "JPEG", quality=95)
        images.append(buffer.getvalue())
    pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), shard, compression="none")
    return len(images)


def prepared(root: Path, cache: Path, **more: object) -> tuple[Path, float]:
    begun = time.perf_counter()
    keys = {
        "data.source": f"celeba:{root}",
        "data.allow_leaks": True,
        **{f"data.{key}": value for key, value in more.items()},
    }
    return prepare(build(keys).data, cache, lambda _: None), time.perf_counter() - begun


def test_rate_beside_a_bare_loop_of_two_processes(tmp_path: Path) -> None:
    count = int(os.environ.get("LSSAT_BENCH_IMAGES", "20000"))
    root = celeba(tmp_path / "CelebA", count)
    paths = [str(path) for path in sorted((root / "img_align_celeba").iterdir())]
    jobs = [(paths[start : start + 1000], str(tmp_path / f"{start}.parquet")) for start in range(0, count, 1000)]
    begun = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        assert sum(pool.map(bare, jobs)) == count
    loop = time.perf_counter() - begun
    _, ours = prepared(root, tmp_path / "cache")
    print(f"\nbare loop {count / loop:.0f}/s, prepared and audited {count / ours:.0f}/s: {loop / ours:.2f} of it")
    assert loop / ours >= 0.8


def test_memory_stays_flat(tmp_path: Path) -> None:
    count = int(os.environ.get("LSSAT_BENCH_IMAGES", "50000"))
    root, peak, over = celeba(tmp_path / "CelebA", count), [0], threading.Event()
    process = psutil.Process()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], sum(each.memory_info().rss for each in (process, *process.children(recursive=True))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        prepared(root, tmp_path / "cache")
    finally:
        over.set()
        watcher.join()
    print(f"\npeak while preparing {count} images: {peak[0] / 2**30:.2f} GB")
    assert peak[0] < 4 * 2**30


def test_a_thousand_damaged_files_are_accounted_for(tmp_path: Path) -> None:
    root, generator = celeba(tmp_path / "CelebA", 3000), random.Random(0)
    for path in generator.sample(sorted((root / "img_align_celeba").iterdir()), 1000):
        content = bytearray(path.read_bytes())
        kind = generator.choice(["flip", "cut", "rename", "swap", "empty"])
        if kind == "flip":
            for _ in range(30):
                content[generator.randrange(len(content))] ^= generator.randrange(1, 256)
            path.write_bytes(content)
        elif kind == "rename":
            path.rename(path.with_name(f"renamed-{path.name}"))
        elif kind == "swap":
            path.rename(path.with_suffix(".png"))
        else:
            path.write_bytes(content[: len(content) // 2] if kind == "cut" else b"")
    folder, _ = prepared(root, tmp_path / "cache", max_rejects=1.0)
    info = read_info(folder)
    rejected = {str(reject["row"]).rpartition("/")[2] for reject in info.rejects}
    named = {f"{number + 1:06d}.jpg" for number in range(3000)}
    print(
        f"\n{sum(info.rows.values())} rows, {len(rejected & named)} images of the list and {len(rejected - named)} "
        "files without a row rejected"
    )
    assert sum(info.rows.values()) + len(rejected & named) == 3000
    present = {path.name for path in (root / "img_align_celeba").iterdir()}
    assert rejected - named == present - named
