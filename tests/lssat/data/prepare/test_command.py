"""The command line of the preparation, as a user types it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lssat.data.prepared.table import read_info
from tests.lssat.data import trees
from tests.lssat.data.shards import read_split

ROOT = Path(__file__).resolve().parents[4]


def typed(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lssat.prepare", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    return trees.celeba(tmp_path / "CelebA", train=60, held_out=30)


def test_shards_and_what_is_in_them(celeba: Path, tmp_path: Path) -> None:
    done = typed("celeba", celeba, tmp_path / "shards", "--task", "Male,Young")
    assert done.returncode == 0, done.stderr
    info = read_info(tmp_path / "shards")
    assert info.rows == {"train": 60, "val": 30, "test": 30}
    assert f"train        60  Male {info.counts['train']['Male']}, Young {info.counts['train']['Young']}" in done.stdout
    assert "0 rejects, 0 leaks across splits" in done.stdout
    with Image.open(io.BytesIO(read_split(tmp_path / "shards", "val")["image"][0].as_py())) as image:
        assert image.size == (178, 178)
    other = typed("celeba", celeba, tmp_path / "shards", "--task", "Male")
    assert (other.returncode, "exists and holds something else" in other.stderr) == (2, True)


def test_the_same_photo_in_two_splits_stops_it_unless_it_is_allowed(celeba: Path, tmp_path: Path) -> None:
    images = celeba / "img_align_celeba"
    with Image.open(images / "000003.jpg") as photo:
        photo.save(images / "000065.jpg", quality=60)  # a training photo, encoded anew, among those for validation
    refused = typed("celeba", celeba, tmp_path / "shards", "--task", "Male")
    assert refused.returncode == 2
    assert "1 of kind image" in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "shards").exists()
    allowed = typed("celeba", celeba, tmp_path / "shards", "--task", "Male", "--allow-leaks")
    assert (allowed.returncode, "1 leaks" in allowed.stdout) == (0, True)


CLUSTER = """
import ray, subprocess, sys
address = ray.init(num_cpus=2, include_dashboard=False).address_info["address"]
sys.exit(subprocess.run([*sys.argv[1:], "--address", address]).returncode)
"""


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_cluster_writes_the_same_bytes(celeba: Path, tmp_path: Path) -> None:
    assert typed("celeba", celeba, tmp_path / "here", "--task", "Male").returncode == 0
    command = [
        sys.executable,
        "-m",
        "lssat.prepare",
        "celeba",
        str(celeba),
        str(tmp_path / "there"),
        "--task",
        "Male",
    ]
    subprocess.run(
        [sys.executable, "-c", CLUSTER, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    for name in ("train-00000.parquet", "val-00000.parquet", "test-00000.parquet", "dataset.json"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("celeba", "/nowhere"), "there is no"),
        (("celeba", "{tree}?colour=red"), "unknown option `colour`"),
        (("affectnet", "{tree}"), "is no AffectNet"),
        (("celeba", "{tree}", "--task", "Mail"), "did you mean `Male`"),
    ],
)
def test_mistakes_are_one_message(celeba: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    kind, source, *more = (word.format(tree=celeba) for word in words)
    done = typed(kind, source, tmp_path / "shards", *more)
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
