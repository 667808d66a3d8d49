"""Checkpoints on a storage that several people share are not wiped by a study of the same name."""

from pathlib import Path

import pytest

from lssat import files
from lssat.errors import ConfigError
from lssat.storage.place import Place
from search.record.folder import RunFolder, Stage, Storage
from search.record.locking import claimed

ROOT = Path(__file__).resolve().parents[3]


def checkpoint(storage):
    (storage / "trials" / "0000" / "last").mkdir(parents=True)


def test_only_the_run_folder_that_a_storage_belongs_to_clears_it(tmp_path):
    storage, mine, another = tmp_path / "shared" / "s", tmp_path / "mine" / "s", tmp_path / "another" / "s"
    checkpoint(storage)  # of a study that left no mark
    Storage(Place.of(storage)).clear_for(RunFolder(mine))
    assert not (storage / "trials").exists()
    checkpoint(storage)
    with pytest.raises(ConfigError, match=f"{mine}.*--name"):
        Storage(Place.of(storage)).clear_for(RunFolder(another))
    assert (storage / "trials").exists()
    Storage(Place.of(storage)).clear_for(RunFolder(mine))
    assert not (storage / "trials").exists()


def test_the_mark_of_a_storage_is_whole_or_not_there(tmp_path, monkeypatch):
    """A kill while it is written must not turn a study away from its own checkpoints."""
    storage, mine = tmp_path / "shared" / "s", tmp_path / "mine" / "s"
    checkpoint(storage)
    with monkeypatch.context() as patched:

        def killed(*_):
            raise KeyboardInterrupt

        patched.setattr(files.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            Storage(Place.of(storage)).clear_for(RunFolder(mine))
    Storage(Place.of(storage)).clear_for(RunFolder(mine))
    with pytest.raises(ConfigError, match="holds the checkpoints"):
        Storage(Place.of(storage)).clear_for(RunFolder(tmp_path / "another" / "s"))


def test_a_run_folder_that_is_its_own_storage_is_left_alone(tmp_path):
    checkpoint(tmp_path)
    storage = Storage(Place.of(tmp_path))
    storage.clear_for(RunFolder(tmp_path))
    assert (tmp_path / "trials").exists()
    storage.mark.check()


def test_what_a_kill_left_of_a_study_that_had_a_mark_and_had_not_begun_is_begun_anew(tmp_path):
    folder = RunFolder(tmp_path / "s")
    Storage(Place.of(folder.path)).clear_for(folder)
    folder.beginning.touch()
    with claimed(folder, resume=False, overwrite=False):
        assert list(folder.path.iterdir()) == [folder.beginning]


def test_a_run_that_is_over_keeps_its_best_checkpoint_alone(tmp_path):
    storage = Storage(Place.of(tmp_path))
    for part in ("last", "best", "train"):
        (storage.checkpoints(Stage.FINAL, "0001-seed2") / part).local.mkdir(parents=True)
    storage.drop_resumable_state(Stage.FINAL, "0001-seed2")
    assert [path.name for path in (tmp_path / "finals" / "0001-seed2").iterdir()] == ["best"]
    assert storage.best(Stage.FINAL, "0001-seed2").is_dir()


@pytest.mark.parametrize("place", ["", "memory://x/scratch"])
def test_what_was_only_for_the_session_is_gone_however_it_ends(tmp_path, place):
    storage = Storage(Place.of(place or tmp_path))

    def session():
        with storage.scratch():
            storage.ray.mkdir(parents=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session()
    assert not storage.ray.exists() and (place == "") == storage.ray.parent.exists()
