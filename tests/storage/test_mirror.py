"""The copy of a study: whole at any moment, and enough to write its run folder anew."""

import json
import os
import sqlite3
import threading
import time

import optuna
import pytest

from lssat.config import build
from lssat.errors import ConfigError
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place
from lssat.storage.whole import send_whole
from lssat.train.result import EpochResult
from search.record import mirror
from search.record.folder import RunFolder, Stage, Storage
from search.record.mirror import Mirror, bring_back, is_mirrored
from search.record.rebuilding import rebuilt_where_lost
from search.record.trials import Outcome, Status
from tests.storage.studies import wait_for


@pytest.fixture(params=["a URL", "a folder"])
def place(request, tmp_path):
    kept = tmp_path / "storage" if request.param == "a folder" else f"memory://x/{tmp_path.name}"
    return Place.of(kept) / "study"


def mirror_of(folder, place, notify=print):
    storage = Storage(place)
    storage.write_mark(folder)
    return Mirror(folder, storage, notify)


def result(epoch):
    return EpochResult(epoch, 5, 0.1 * epoch, 0.1 * epoch, 7, 1, {"train/seconds": 2.0, "val/seconds": 1.0})


def begun(folder):
    """Two trials, one of which is over."""
    study = optuna.create_study(storage=f"sqlite:///{_made(folder.path) / 'study.db'}", study_name="s")
    folder.manifest.write_text("{}")
    for number in range(2):
        study.ask()
        record = folder.record(Stage.SEARCH, f"{number:04d}").begin({}, build({}))
        record.append(result(1), 3.0)
    folder.record(Stage.SEARCH, "0000").end(Outcome(Status.STOPPED, "", 3.0))
    (folder.path / "log.txt").write_text("what libraries said")
    return study


def _made(path):
    path.mkdir(parents=True)
    return path


def checkpoint(place, epochs):
    """What only matters here of a checkpoint: the epochs that it knows."""

    def write(folder):
        folder.mkdir()
        lines = [{**result(epoch).to_json(), "time": 1000.0 + epoch} for epoch in range(1, epochs + 1)]
        (folder / "state.json").write_text(json.dumps({"state": {"history": lines}}))
        if place.local:
            folder.rename(_made(place.local) / "last")
        else:
            send_whole(folder, place / "last")

    return write


def test_a_lost_run_folder_is_written_anew_with_the_epochs_of_its_checkpoints(tmp_path, place):
    folder = RunFolder(tmp_path / "study")
    begun(folder)
    mirror_of(folder, place).now()
    storage = Storage(place)
    checkpoint(storage.checkpoints(Stage.SEARCH, "0001"), 3)(tmp_path / "a")
    checkpoint(storage.checkpoints(Stage.SEARCH, "0002"), 2)(tmp_path / "b")
    folder.path.rename(tmp_path / "lost")
    with pytest.raises(ConfigError, match="--resume"):
        rebuilt_where_lost(folder, place, goes_on=False)
    said = rebuilt_where_lost(folder, place, goes_on=True)
    assert "1 runs that are over, 1 that go on" in said[0] and "trials/0001: 2 epochs" in said[1]
    record = folder.record(Stage.SEARCH, "0001")
    assert [each.epoch for each in record.epochs] == [1, 2, 3]
    assert record.seconds == 9.0 and record.moments[1:] == [(1002.0, 6.0), (1003.0, 9.0)]
    assert "trials/0002" in said[2] and not storage.checkpoints(Stage.SEARCH, "0002").sizes()
    study = optuna.load_study(storage=f"sqlite:///{folder.study_db}", study_name="s")
    assert len(study.trials) == 2
    assert rebuilt_where_lost(folder, place, goes_on=True) == [], "a run folder that is here is taken"


def test_a_head_that_comes_back_does_not_go_on_where_another_did(tmp_path, place):
    old, new = RunFolder(tmp_path / "study"), RunFolder(tmp_path / "elsewhere" / "study")
    begun(old)
    old.manifest.write_text('{"sessions": [{"started": "Monday"}]}')
    mirror_of(old, place).now()
    rebuilt_where_lost(new, place, goes_on=True)
    assert rebuilt_where_lost(old, place, goes_on=True) == []
    new.manifest.write_text('{"sessions": [{"started": "Monday"}, {"started": "Tuesday"}]}')
    mirror_of(new, place).now()
    with pytest.raises(ConfigError, match=r"another machine \(Tuesday\).*move .*study away"):
        rebuilt_where_lost(old, place, goes_on=True)


def test_a_copy_that_was_cut_leaves_the_one_of_before(tmp_path, place, monkeypatch):
    folder = RunFolder(tmp_path / "study")
    study = begun(folder)
    copies = mirror_of(folder, place)
    copies.now()
    study.ask()
    write = Place.write

    def cut(self, content):
        if self.name == "study.json":
            raise KeyboardInterrupt
        write(self, content)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            copies.now()
    bring_back(place, tmp_path / "before")
    assert len(optuna.load_study(storage=f"sqlite:///{tmp_path / 'before/study.db'}", study_name="s").trials) == 2
    copies.now()
    bring_back(place, tmp_path / "after")
    assert len(optuna.load_study(storage=f"sqlite:///{tmp_path / 'after/study.db'}", study_name="s").trials) == 3
    assert len([name for name in place.sizes() if name.startswith("study/")]) == len(
        set(json.loads((place / "study.json").read())["files"].values())
    ), "objects of older copies are deleted"


def test_what_is_asked_for_is_copied_and_then_done_at_most_every_so_often(tmp_path, place, monkeypatch):
    monkeypatch.setattr(mirror, "EVERY_S", 2.0)
    folder, done = RunFolder(tmp_path / "study"), []
    begun(folder)
    copies = mirror_of(folder, place)
    began = time.monotonic()
    for number in range(3):
        copies.ask(lambda number=number: done.append((number, time.monotonic() - began)))
        wait_for(lambda: bool(done))
    wait_for(lambda: len(done) == 3)
    assert [number for number, _ in done] == [0, 1, 2]
    assert done[1][1] >= 2.0
    copies.close()
    bring_back(place, tmp_path / "copy")
    assert (tmp_path / "copy" / "log.txt").read_text() == "what libraries said", "the end brings all of it"


def test_a_study_that_another_process_has_locked_is_copied_later(tmp_path, place, monkeypatch):
    monkeypatch.setattr(mirror, "LOCKED_S", 0.1)
    folder, told = RunFolder(tmp_path / "study"), []
    begun(folder)
    copies = mirror_of(folder, place, told.append)
    other = sqlite3.connect(folder.study_db)
    other.execute("BEGIN EXCLUSIVE")
    copies.close()
    assert "locked" in told[0] and str(folder.path) in told[0]
    other.rollback()
    copies.close()
    assert is_mirrored(place)


@pytest.mark.parametrize("damage", ["gone", "changed", "outside"])
def test_a_damaged_copy_is_no_study(tmp_path, place, damage):
    folder = RunFolder(tmp_path / "study")
    begun(folder)
    mirror_of(folder, place).now()
    pointer = json.loads((place / "study.json").read())
    digest = pointer["files"]["manifest.json"]
    if damage == "gone":
        (place / "study" / digest).delete()
    elif damage == "changed":
        (place / "study" / digest).write(b"{ }")
    else:
        pointer["files"]["../outside"] = digest
        (place / "study.json").write(json.dumps(pointer).encode())
    os.rename(folder.path, tmp_path / "lost")
    with pytest.raises(ConfigError, match="is damaged"):
        rebuilt_where_lost(folder, place, goes_on=True)
    assert not (tmp_path / "outside").exists() and not folder.path.exists()


def test_a_run_folder_that_is_its_own_storage_has_no_copy(tmp_path):
    folder, done = RunFolder(tmp_path / "study"), []
    begun(folder)
    copies = Mirror(folder, Storage(Place.of(folder.path)), print)
    before = sorted(folder.path.rglob("*"))
    copies.ask(lambda: done.append(1))
    copies.now()
    copies.close()
    assert done == [1] and sorted(folder.path.rglob("*")) == before


def test_nothing_is_copied_to_a_mount_point_without_its_file_system(tmp_path):
    folder, place, told = RunFolder(tmp_path / "study"), Place.of(tmp_path / "storage" / "study"), []
    begun(folder)
    copies = mirror_of(folder, place, told.append)
    (tmp_path / "storage").rename(tmp_path / "unmounted")
    (tmp_path / "storage").mkdir()
    with pytest.raises(StorageLost):
        copies.now()
    copies.close()
    assert "mount the storage again" in told[0] and not list((tmp_path / "storage").iterdir())


def test_a_session_that_ends_does_not_wait_for_ever_for_the_copy_before(tmp_path, place, monkeypatch):
    monkeypatch.setattr(mirror, "LAST_PATIENCE_S", 0.2)
    folder, told, goes_on = RunFolder(tmp_path / "study"), [], threading.Event()
    begun(folder)
    copies = mirror_of(folder, place, told.append)
    copies.ask(goes_on.wait)
    wait_for(lambda: is_mirrored(place))
    copies.close()
    goes_on.set()
    assert "the copy before is still being written" in told[0]


def test_a_line_that_was_copied_half_is_taken_from_the_checkpoint(tmp_path, place):
    folder = RunFolder(tmp_path / "study")
    begun(folder)
    record = folder.record(Stage.SEARCH, "0001")
    with (record.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "sco')
    checkpoint(Storage(place).checkpoints(Stage.SEARCH, "0001"), 2)(tmp_path / "a")
    mirror_of(folder, place).now()
    os.rename(folder.path, tmp_path / "lost")
    rebuilt_where_lost(folder, place, goes_on=True)
    assert [each.epoch for each in folder.record(Stage.SEARCH, "0001").epochs] == [1, 2]
