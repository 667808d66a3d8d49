"""A checkpoint that is not as it was written is found out, and its run comes to the same end; what the disk refuses
leaves nothing half-written; a storage that is gone is not taken for an empty one.
"""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from lssat.storage.mark import StorageMark
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place
from lssat.train import checkpoint
from lssat.train.checkpoint import CheckpointError, DamagedCheckpoint
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT, LAST_CHECKPOINT
from tests.lssat.train.test_loop import CPU, TASK, config, repeatable, rows

STATE = {"epoch": 3, "best": float("-inf"), "lr": 1e-3}


def tensors_of(folder):
    return next(folder.glob("tensors-*"))


def flip(path, position, bit=0):
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


DAMAGES = {
    "a missing tensor file": lambda folder: tensors_of(folder).unlink(),
    "a cut tensor file": lambda folder: os.truncate(tensors_of(folder), tensors_of(folder).stat().st_size - 1),
    "an empty tensor file": lambda folder: os.truncate(tensors_of(folder), 0),
    "a flipped bit of a tensor": lambda folder: flip(tensors_of(folder), -5),
    "a flipped bit in the header": lambda folder: flip(tensors_of(folder), 3),
    "a missing state": lambda folder: (folder / "state.json").unlink(),
    "a cut state": lambda folder: os.truncate(folder / "state.json", 40),
    "an empty state": lambda folder: os.truncate(folder / "state.json", 0),
    "a flipped bit of a number": lambda folder: flip(
        folder / "state.json", (folder / "state.json").read_bytes().index(b"epoch") + 8
    ),
    "an empty folder": lambda folder: [path.unlink() for path in folder.iterdir()],
}


def train(folder, stop_after=None, storage=None, at_end_of=None):
    """Results of the epochs. `at_end_of`: what happens when an epoch has been reported, by its number."""
    results = []

    def report(result):
        results.append(repeatable(result))
        if at_end_of and result.epoch in at_end_of:
            at_end_of[result.epoch]()
        if len(results) == stop_after:
            raise KeyboardInterrupt

    fit(TrainingRun(config(), TASK, rows(), rows(21, seed=1), CPU, folder, storage=storage), report)
    return results


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder and the results of a run that nothing happened to, and of one that was killed after two epochs."""
    folder = tmp_path_factory.mktemp("runs")
    results = train(folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(folder / "killed", 2)
    return folder, results


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        *((LAST_CHECKPOINT, damage) for damage in DAMAGES),
        *((BEST_CHECKPOINT, damage) for damage in ("a flipped bit of a tensor", "an empty folder")),
    ],
)
def test_a_run_with_a_damaged_checkpoint_begins_anew_and_comes_to_the_same_end(tmp_path, caplog, whole, part, damage):
    folder, results = whole
    shutil.copytree(folder / "killed", tmp_path / "run")
    DAMAGES[damage](tmp_path / "run" / part)
    with pytest.raises(DamagedCheckpoint, match=f"delete {tmp_path / 'run' / part} to start again"):
        checkpoint.load(tmp_path / "run" / part)
    assert train(tmp_path / "run") == results
    assert "begins anew from its seed" in caplog.text and str(tmp_path / "run" / part) in caplog.text
    for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
        (expected, state), (found, found_state) = (
            checkpoint.load(path / name) for path in (folder / "whole", tmp_path / "run")
        )
        assert all(torch.equal(expected[key], found[key]) for key in expected)
        assert state["config"] == found_state["config"]
        assert len(list((tmp_path / "run" / name).iterdir())) == 2


def test_a_checkpoint_without_digests_is_read_as_before(tmp_path):
    checkpoint.save(tmp_path, tensors={"a": torch.ones(2)}, state=STATE)
    written = json.loads((tmp_path / "state.json").read_text())
    before = json.dumps({"tensors": written["tensors"], "state": written["state"]})
    (tmp_path / "state.json").write_text(before)
    assert checkpoint.load(tmp_path)[1] == STATE
    os.truncate(tensors_of(tmp_path), 0)
    with pytest.raises(DamagedCheckpoint, match="is empty"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("part", ["state.json", "tensors"])
def test_what_the_disk_cannot_read_is_no_damage(tmp_path, whole, part):
    """Linux fails to read the first page of a process's memory, as it does a broken sector."""
    folder, _ = whole
    shutil.copytree(folder / "killed", tmp_path / "run")
    last = tmp_path / "run" / LAST_CHECKPOINT
    path = tensors_of(last) if part == "tensors" else last / part
    kept = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(OSError) as raised:
        train(tmp_path / "run")
    assert raised.value.errno == errno.EIO and not isinstance(raised.value, CheckpointError)
    path.unlink()
    path.write_bytes(kept)
    assert [result["epoch"] for result in train(tmp_path / "run")] == [2, 3], "nothing was lost meanwhile"


def marked(root):
    root.mkdir()
    mark = StorageMark(Place.of(root / "mark.txt"), "1234")
    mark.file.local.write_text("owner\n1234\n")
    return mark


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("remains", ["the mount point", "nothing", "another storage"])
def test_a_storage_that_goes_ends_the_run_and_is_gone_on_with_when_it_is_back(tmp_path, whole, epoch, remains):
    root, hidden, (_, results) = tmp_path / "storage", tmp_path / "hidden", whole
    mark = marked(root)

    def go():
        root.rename(hidden)
        if remains != "nothing":
            root.mkdir()
        if remains == "another storage":
            mark.file.local.write_text("owner\n5678\n")

    with pytest.raises(StorageLost, match=str(root)):
        train(root / "trials" / "0000", storage=mark, at_end_of={epoch: go})
    with pytest.raises(StorageLost, match=str(root)):
        train(root / "trials" / "0000", storage=mark)
    left = list(root.rglob("*")) if root.exists() else []
    assert [path.name for path in left] == (["mark.txt"] if remains == "another storage" else [])
    shutil.rmtree(root, ignore_errors=True)
    hidden.rename(root)
    assert train(root / "trials" / "0000", storage=mark) == results[epoch - 1 :]


FULL = """
import errno, json, os, resource, signal, sys
from pathlib import Path
import torch
from lssat import files
from lssat.train import checkpoint
folder, how = Path(sys.argv[1]), sys.argv[2]
if how == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def full(on): resource.setrlimit(resource.RLIMIT_FSIZE, (50_000 if on else -1, -1))
    number = errno.EFBIG
else:
    def full(on): os.system(f"mount -o remount,size={'400k' if on else '100m'} {folder}")
    number = errno.ENOSPC
def names(): return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
def refused(call):
    before = names()
    full(True)
    try: call()
    except OSError as error: assert error.errno == number, error
    else: raise AssertionError("it fits")
    full(False)
    assert names() == before, names()
large = {"a": torch.zeros(200_000)}
old = {"a": torch.ones(10_000)}
refused(lambda: checkpoint.save(folder / "last", tensors=large, state={}))
checkpoint.save(folder / "last", tensors=old, state={"epoch": 1})
refused(lambda: checkpoint.save(folder / "last", tensors=large, state={"epoch": 2}))
assert checkpoint.load(folder / "last")[1] == {"epoch": 1}
refused(lambda: checkpoint.save(folder / "last", tensors=old, state={"epoch": "x" * 600_000}))
assert checkpoint.load(folder / "last")[1] == {"epoch": 1}
files.write_text(folder / "text", "old")
refused(lambda: files.write_text(folder / "text", "x" * 600_000))
assert (folder / "text").read_text() == "old"
files.append_json_line(folder / "lines", {"epoch": 1})
refused(lambda: files.append_json_line(folder / "lines", {"epoch": "x" * 600_000}))
files.append_json_line(folder / "lines", {"epoch": 2})
assert [json.loads(line)["epoch"] for line in (folder / "lines").read_text().splitlines()] == [1, 2]
print("whole")
"""


@pytest.mark.parametrize("how", ["limit", "tmpfs"])
def test_a_full_disk_leaves_nothing_half_written_and_says_that_it_is_full(tmp_path, how):
    words = [sys.executable, "-c", FULL, str(tmp_path), how]
    if how == "tmpfs":
        shell = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(tmp_path)]
        if subprocess.run([*shell, "true"], capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        words = [*shell, *words]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == "whole\n", done.stderr
