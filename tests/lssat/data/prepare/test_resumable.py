"""Files of a tree become shards: every one accounted for, killed or not, broken or not."""

import csv
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepare import resumable
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.table import SPLITS, read_info, shard_paths
from lssat.errors import ConfigError
from tests.lssat.data.shards import read_split

ROOT = Path(__file__).resolve().parents[4]
KILLED = """
import os, signal, sys
from pathlib import Path
from lssat.config import build
from lssat.data.prepare import prepare, resumable
resumable.SHARD_ROWS = 10
def dying(options, entry, left=[70], open=resumable.open_entry):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return open(options, entry)
resumable.open_entry = dying
prepare.prepare(build({"data.source": sys.argv[1], "data.task": "animal"}).data, Path(sys.argv[2]), print, map)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder per class: 60 images of ants and 60 of bees, all different."""
    generator = np.random.default_rng(0)
    for number in range(120):
        path = tmp_path / "tree" / ("ant", "bee")[number % 2] / f"{number:03d}.{('jpg', 'png')[number % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    return tmp_path / "tree"


def prepared(tree: Path, cache: Path, **more: object) -> Path:
    return prepare(
        build(
            {"data.source": str(tree), "data.task": "animal", **{f"data.{key}": value for key, value in more.items()}}
        ).data,
        cache,
        lambda _: None,
    )


def images(folder: Path) -> set[bytes]:
    return {image for split in SPLITS for image in read_split(folder, split)["image"].to_pylist()}


def test_a_killed_preparation_goes_on_after_its_last_shard_and_ends_as_if_nothing_had_happened(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "SHARD_ROWS", 10)
    whole = prepared(tree, tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, str(tree), str(tmp_path / "cache")]
    assert subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == -signal.SIGKILL
    (unfinished,) = (tmp_path / "cache").glob("*.unfinished")
    finished = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*.parquet")}
    assert finished
    with (unfinished / "journal.jsonl").open("a") as journal:
        journal.write('{"shard": "spl')  # the line that a kill cut
    folder = prepared(tree, tmp_path / "cache")
    assert {name: (folder / name).stat().st_mtime_ns for name in finished} == finished
    assert [path.read_bytes() for split in SPLITS for path in shard_paths(folder, split)] == [
        path.read_bytes() for split in SPLITS for path in shard_paths(whole, split)
    ]
    assert (folder / "dataset.json").read_text() == (whole / "dataset.json").read_text()
    assert images(folder) == {path.read_bytes() for path in tree.rglob("*.*g")}


def test_shards_of_another_task_are_not_gone_on_with(tree: Path, tmp_path: Path) -> None:
    """The folder that a user names may hold what a killed preparation of something else left."""
    shards, command = tmp_path / "shards", [sys.executable, "-m", "lssat.prepare", "own", str(tree)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, str(shards), *words], cwd=ROOT, env=environment, capture_output=True, text=True
        )

    for path in sorted(tree.rglob("*.*g"))[::20]:
        path.write_bytes(b"")
    assert typed("--task", "animal").returncode == 2  # too many rejects: its shards wait for --max-rejects
    unfinished = next(tmp_path.glob("*.unfinished"))
    times = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*.parquet")}
    again = typed("--task", "animal", "--seed", "1", "--max-rejects", "0.1")
    assert (again.returncode, again.stderr.count("Traceback")) == (0, 0)
    assert times
    assert all((shards / name).stat().st_mtime_ns != time for name, time in times.items())
    names = {path.name for path in shards.iterdir()}
    assert names == {*times, "dataset.json", "leaks.csv", "rejects.csv"}
    assert read_info(shards).options["seed"] == 1


def damage(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "cut", "empty", "text", "rename", "swap"])
    if kind == "flip":
        for _ in range(20):
            content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        path.write_bytes(content)
    elif kind == "rename":
        path.rename(path.with_suffix(".txt"))
    elif kind == "swap":
        path.rename(path.with_suffix(".png" if path.suffix == ".jpg" else ".jpg"))
    else:
        path.write_bytes({"cut": bytes(content[: len(content) // 2]), "empty": b"", "text": b"no image"}[kind])


def test_every_damaged_file_is_accounted_for_and_none_is_replaced(tree: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    for path in rng.sample(sorted(tree.rglob("*.*g")), 50):
        damage(path, rng)
    folder = prepared(tree, tmp_path / "cache", max_rejects=0.6)
    info = read_info(folder)
    kept = images(folder)
    assert sum(info.rows.values()) + len(info.rejects) == 120
    assert len(info.rejects) > 20
    with (folder / "rejects.csv").open(newline="") as file:
        rejected = {row["row"]: row["reason"] for row in csv.DictReader(file)}
    files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*.*")}
    assert kept == {content for name, content in files.items() if name not in rejected}
    assert all(rejected.values())


def test_too_many_unusable_images_stop_it_with_the_list_of_all_of_them(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "SHARD_ROWS", 10)
    for path in sorted(tree.rglob("*.*g"))[::20]:
        path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"6 of 120 .* no image bytes \(6\).*max_rejects: 0.05`") as error:
        prepared(tree, tmp_path / "cache")
    (listed,) = (tmp_path / "cache").glob("*.rejects.csv")
    assert str(listed) in str(error.value)
    assert len(listed.read_text().splitlines()) == 1 + 6
    assert sum(read_info(prepared(tree, tmp_path / "cache", max_rejects=0.05)).rows.values()) == 114


def test_names_of_classes_reach_the_prepared_folder(tree: Path, tmp_path: Path) -> None:
    plain = prepared(tree, tmp_path / "cache")
    named = prepared(tree, tmp_path / "cache", class_names=["no bee", "a bee"])
    assert read_info(named).classes == ("no bee", "a bee")
    assert [*read_info(named).counts["train"]] == ["no bee", "a bee"]
    assert (read_info(plain).classes, plain != named) == (("ant", "bee"), True)
    with pytest.raises(ConfigError, match=r"`data.class_names` cannot be changed of a prepared data set"):
        prepared(named, tmp_path / "cache", class_names=["x", "y"])


def test_a_prepared_folder_is_a_source(tree: Path, tmp_path: Path) -> None:
    folder = prepared(tree, tmp_path / "cache")
    assert prepare(build({"data.source": str(folder)}).data, tmp_path / "other", lambda _: None) == folder
    with pytest.raises(ConfigError, match="was prepared for task `animal`, not `male`"):
        prepare(build({"data.source": str(folder), "data.task": "male"}).data, tmp_path / "other", lambda _: None)


def test_names_that_are_not_utf8_or_break_lines_are_used_and_listed(tree: Path, tmp_path: Path) -> None:
    """Good pictures among them are used, damaged ones listed by a name that can be read."""
    odd = [b"\xd5\xc5\xc8\xfd", b"two\nlines", b"tab\tand\x1b[31mred", b'comma,"quote"']
    folder = os.fsencode(tree) + b"/ant/"
    generator = np.random.default_rng(1)
    for name in odd:
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), np.uint8)).save(tmp_path / "good.png")
        (tmp_path / "good.png").rename(os.fsdecode(folder + name + b"-good.png"))
        with open(folder + name + b"-bad.png", "w") as file:
            file.write("not a picture")
    os.rename(tree / "bee", os.fsencode(tree) + b"/b\xe9e")
    prepared_folder = prepared(tree, tmp_path / "cache", max_rejects=0.1)
    info = read_info(prepared_folder)
    assert info.classes == ("ant", "b\\xe9e")
    assert sum(info.rows.values()) == 124
    shown = ("\\xd5\\xc5\\xc8\\xfd", "two\\nlines", "tab\\tand\\x1b[31mred", 'comma,"quote"')
    expected = {f"ant/{name}-bad.png" for name in shown}
    assert {str(reject["row"]) for reject in info.rejects} == expected
    text = (prepared_folder / "rejects.csv").read_text(encoding="utf-8")
    assert {row["row"] for row in csv.DictReader(text.splitlines())} == expected
