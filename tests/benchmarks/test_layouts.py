"""Each layout as a user gives it: leaks are refused and named, rejects are listed, and a search goes to its end.

Two of them are tried with every change, the others with the benchmarks: each takes 15 s and more.
"""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lssat.data import trees_of_layouts as trees

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
fixed:
  data.image_size: 32
  data.max_rejects: 0.5
  masking.unit: 8
  optim.epochs: 1
  optim.batch_size: 16
  decoder.dim: 32
  backbone.name: test_vit
  backbone.patch_size: 8
space:
  aux_weight: {low: 0.1, high: 0.5}
search: {num_trials: 2, scheduler: none, finalists: 0}
"""
SWAPS = "{method}/{identity}_{source_identity}/*.png|{method}/{identity}/*.png&label=method&real=original"
NO_PICTURE = b"no picture"


def spoil_shards(tree):
    """In a shard of the test split: a picture of train, and no picture."""
    path = tree / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    first = pq.read_table(tree / "data" / "train-00000-of-00002.parquet").to_pylist()[0]
    rows[0]["image"], rows[1]["image"] = first["image"], {"bytes": NO_PICTURE, "path": "x.jpg"}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def spoil_pixels(tree):
    """In the CSV: the pixels of the second row in the last one, and one number too many in the first."""
    lines = [line.split(",") for line in (tree / "fer2013.csv").read_text().splitlines()]
    lines[-1][1] = lines[2][1]
    lines[1][1] += " 7"
    (tree / "fer2013.csv").write_text("\n".join(map(",".join, lines)) + "\n")


def spoil_files(damaged, copied, *copies):
    """A file becomes no picture, and another is laid in the place of a third, in another split."""

    def spoil(tree):
        folder = tree.parent if tree.is_file() else tree
        next(iter(sorted(folder.glob(damaged)))).write_bytes(NO_PICTURE)
        for copy in copies:
            target = next(iter(sorted(folder.glob(copy))), folder / copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sorted(folder.glob(copied))[1], target)

    return spoil


LAYOUTS = {
    "huggingface": (trees.huggingface, "huggingface:{tree}", spoil_shards),
    "df40": (
        trees.df40,
        "df40:{tree}",
        spoil_files("FaceForensics++/youtube/*/000/000.png", "*/youtube/*/001/*", "*/youtube/*/016/000.png"),
    ),
    "frames": (
        trees.frames,
        "files:{tree}?pattern=" + SWAPS.replace("{", "{{").replace("}", "}}"),
        spoil_files("original/*/*.png", "original/*/000.png", *(f"original/9{one:02d}/000.png" for one in range(12))),
    ),
    "fer2013": (trees.fer, "fer2013:{tree}", spoil_pixels),
    "table": (
        trees.table,
        "table:{tree}?image=file&label=race&identity=id&split=fold",
        spoil_files("photos/train0.jpg", "photos/train*", "photos/test1.jpg"),
    ),
    "celebdfpp": (
        trees.celebdfpp,
        "celebdfpp:{tree}",
        spoil_files("YouTube-real/*/00005/000.png", "Celeb-real/*/id5*/*", "Celeb-real/*/id0_0000/000.png"),
    ),
    "utkface": (
        trees.utkface,
        "files:{tree}?pattern={{age}}_{{gender}}_{{race}}_*.jpg&label=gender",
        spoil_files("20_0_*.jpg", "21_1_*.jpg", *(f"21_1_0_2018{copy:04d}.jpg" for copy in range(12))),
    ),
    "lfw": (
        trees.lfw,
        "files:{tree}?pattern={{label}}/{{identity}}/{{identity}}_*.jpg",
        spoil_files(
            "male/*/*.jpg", "female/*/*1.jpg", *(f"female/Copy_{one}/Copy_{one}_0001.jpg" for one in range(12))
        ),
    ),
    "fairface": (trees.fairface, "fairface:{tree}", spoil_files("train/1.jpg", "train/*", "val/9.jpg")),
    "rafdb": (
        trees.rafdb,
        "rafdb:{tree}",
        spoil_files("Image/*/train_00001*", "Image/*/train*", "Image/*/test_00002*"),
    ),
    "ferplus": (lambda root: trees.fer(root, votes=True), "ferplus:{tree}", spoil_pixels),
    "class folders": (trees.class_tree, "{tree}", spoil_files("train/man/*", "train/man/*", "test/man/*")),
}
IN_CI = ("huggingface", "df40")


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(
    "layout",
    [pytest.param(name, marks=pytest.mark.slow if name in IN_CI else pytest.mark.benchmark) for name in LAYOUTS],
)
def test_a_layout_is_searched_and_its_leaks_and_rejects_are_named(layout, tmp_path):
    make, form, spoil = LAYOUTS[layout]
    tree = make(tmp_path / "tree")
    spoil(tree)
    (tmp_path / "small.yaml").write_text(SPACE)
    words = [sys.executable, ROOT / "search/run.py", "--space", "small.yaml", "--data", form.format(tree=tree)]

    def run(*more):
        return subprocess.run([*map(str, words), *more], cwd=tmp_path, capture_output=True, text=True, timeout=280)

    refused = run()
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "no identity, source video or image may be in two splits" in refused.stderr
    done = run("--set", "data.allow_leaks=true")
    assert done.returncode == 0, done.stdout + done.stderr
    prepared = next((tmp_path / "results" / ".data").glob("*/dataset.json")).parent
    with (prepared / "rejects.csv").open() as file:
        reasons = {row["row"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons
    assert any(words in " ".join(reasons.values()) for words in ("not a JPEG or PNG", "2305 pixels instead of 48 x 48"))
    assert json.loads((prepared / "dataset.json").read_text())["options"]["leaks"] >= 1
    (folder,) = (path for path in (tmp_path / "results").iterdir() if not path.name.startswith("."))
    assert (folder / "best" / "weights.safetensors").exists()
    print(f"\n{layout}: {folder.name}, {len(reasons)} rejects")
