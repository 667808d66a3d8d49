"""A full disk, a storage out of reach, a locked study, a full object store, a half-written checkpoint: the study comes
to the same end.
"""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from tests.faults.cluster import cluster
from tests.faults.injected import Fault
from tests.faults.study import Command, curves, outcomes, run_folder, words
from tests.storage.s3 import BUCKET, ObjectStore

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
GO_ON = "the same command with `--resume`"
ONE_EPOCH = "the epoch that was being trained"


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own."""
    folder = tmp_path / "results"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_the_disk_is_full_and_then_has_room(tmp_path, small_disk, undisturbed, injected):
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/fill", "bs=64k"], capture_output=True)
    began = time.monotonic()
    assert command.end() == 3, command.text
    seconds = time.monotonic() - began
    assert "make room there" in command.text and "--resume" in command.text
    (small_disk / "fill").unlink()
    kept = curves(command.folder)
    assert all(undisturbed[name][: len(lines)] == lines for name, lines in kept.items())
    command = Command.begin(words(tmp_path, "--resume"), tmp_path)
    assert command.end() == 0, command.text
    assert curves(run_folder(tmp_path)) == undisturbed
    how = "dd if=/dev/zero of=results/fill"
    injected(Fault("the disk is full", how, ONE_EPOCH, seconds, f"room is made, then {GO_ON}"))


def test_the_database_of_the_study_is_locked_for_half_a_minute(tmp_path, undisturbed, injected):
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 4)
    database = sqlite3.connect(command.folder / "study.db", timeout=30, check_same_thread=False)
    database.execute("BEGIN EXCLUSIVE")
    time.sleep(30)
    database.rollback()
    known = sum(map(len, curves(command.folder).values()))
    seconds = command.wait(lambda: sum(map(len, curves(command.folder).values())) > known)
    assert command.end() == 0, command.text
    assert curves(run_folder(tmp_path)) == undisturbed
    how = "BEGIN EXCLUSIVE (sqlite3 study.db), 30 s"
    injected(Fault("the database of the study is locked", how, "nothing", seconds))


def test_a_checkpoint_is_half_written_when_the_command_is_killed(tmp_path, undisturbed, injected):
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    command.process.kill()
    command.end()
    last = command.folder / "trials" / "0000" / "last"
    (whole,) = last.glob("tensors-*.safetensors")
    (last / "tensors-00000000.safetensors").write_bytes(whole.read_bytes()[:1000])
    command = Command.begin(words(tmp_path, "--resume"), tmp_path)
    known = command.epochs()
    seconds = command.wait(lambda: command.epochs() > known)
    assert command.end() == 0, command.text
    assert curves(run_folder(tmp_path)) == undisturbed
    how = "head -c 1000 last/tensors-*.safetensors > last/tensors-00000000.safetensors"
    injected(Fault("a checkpoint is half-written, the command killed", how, ONE_EPOCH, seconds, GO_ON))


def test_the_storage_is_out_of_reach_for_a_minute(tmp_path, undisturbed, injected):
    store = ObjectStore()
    try:
        asked = words(tmp_path, "--storage", f"s3://{BUCKET}/hangs")
        command = Command.begin(asked, tmp_path, **store.environment)
        command.wait(lambda: command.epochs() >= 2)
        with store.unreachable():
            time.sleep(60)
        known = command.epochs()
        seconds = command.wait(lambda: command.epochs() > known)
        assert command.end() == 0, command.text
    finally:
        store.stop()
    assert curves(run_folder(tmp_path)) == undisturbed
    injected(Fault("the storage (S3) is out of reach for 60 s", "kill -STOP <the store>", "nothing", seconds))


FILL = """
import sys, time, numpy as np, ray
ray.init(sys.argv[1], log_to_driver=False)
kept = [ray.put(np.ones(10_000_000, np.uint8)) for _ in range(40)]
print("full", flush=True)
time.sleep(600)
"""


def test_the_object_store_of_a_machine_is_full(tmp_path, undisturbed, injected):
    (tmp_path / "fill.py").write_text(FILL)
    with cluster(tmp_path, "one") as made:
        command = made.search()
        command.wait(lambda: command.epochs() >= 2, 240)
        fill = f"{sys.executable} {tmp_path}/fill.py {made.address}"
        with subprocess.Popen(made.hosts.words("one", fill), stdout=subprocess.PIPE, text=True) as filling:
            said = []
            threading.Thread(target=lambda: said.append(filling.stdout.readline()), daemon=True).start()
            command.wait(lambda: said, 120)
            assert said == ["full\n"]
            known = command.epochs()
            seconds = command.wait(lambda: command.epochs() > known or command.epochs("0001"), 240)
            assert command.end(400) == 0, command.text
            filling.kill()
    assert [each["status"] for each in outcomes(run_folder(tmp_path)).values()] == ["complete"] * 3
    assert curves(run_folder(tmp_path)) == undisturbed
    how = "40 x ray.put(10 MB) into a store of 200 MB"
    injected(Fault("the object store of a machine is full", how, "nothing", seconds))
