"""Checkpoints on a storage that several people share are not wiped by a study of the same name."""

import pytest

from lssat.config import ConfigError
from search.record.folder import clear_storage


def checkpoint(storage):
    (storage / "trials" / "0000" / "last").mkdir(parents=True)


def test_only_the_run_folder_that_a_storage_belongs_to_clears_it(tmp_path):
    storage, mine, another = tmp_path / "shared" / "s", tmp_path / "mine" / "s", tmp_path / "another" / "s"
    checkpoint(storage)  # of a study that left no mark
    clear_storage(storage, mine)
    assert not (storage / "trials").exists()
    checkpoint(storage)
    with pytest.raises(ConfigError, match=f"{mine}.*--name"):
        clear_storage(storage, another)
    assert (storage / "trials").exists()
    clear_storage(storage, mine)
    assert not (storage / "trials").exists()


def test_a_run_folder_that_is_its_own_storage_is_left_alone(tmp_path):
    checkpoint(tmp_path)
    clear_storage(tmp_path, tmp_path)
    assert (tmp_path / "trials").exists()
