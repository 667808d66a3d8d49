"""A storage is known by its mark, wherever it is looked for; an address is no path."""

import argparse
import pickle

import pytest

from lssat.command import local_path
from lssat.data.sources.source import absolute
from lssat.errors import ConfigError
from lssat.storage.mark import StorageMark
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place


@pytest.mark.parametrize("there", [None, "", "owner\n", "owner\nanother\n", b"\xff\xfe", "folder"])
def test_what_is_not_the_mark_of_this_storage_is_told_with_the_repair(tmp_path, there):
    mark = StorageMark(Place.of(tmp_path / "storage" / "mark.txt"), "1234")
    if there is not None:
        mark.file.parent.local.mkdir()
    if there == "folder":
        mark = StorageMark(Place.of(mark.file.parent.local / "file" / "mark.txt"), "1234")
        mark.file.parent.local.touch()
    elif there is not None:
        mark.file.local.write_bytes(there if isinstance(there, bytes) else there.encode())
    with pytest.raises(StorageLost, match=f"{mark.file.parent} on .*; mount the storage again .*`--resume`") as raised:
        mark.check()
    assert isinstance(raised.value, OSError), "a failure of the machine, not of the trial"
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_the_mark_may_be_put_back_by_hand(tmp_path):
    mark = StorageMark(Place.of(tmp_path / "mark.txt"), "1234")
    mark.file.local.write_text("1234")
    mark.check()


ADDRESSES = ["s3://bucket/x", "gs://b", "hdfs://host:9000/x", "file:///tmp/x", "abfs+ssl://x", "HTTPS://x"]


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses_are_no_paths(text):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--storage", type=local_path)
    with pytest.raises(argparse.ArgumentError, match=r"--storage: must be a path .*mount it"):
        parser.parse_args(["--storage", text])
    with pytest.raises(ConfigError, match="must be a path of this machine"):
        absolute(text)


@pytest.mark.parametrize("text", ["a", "/a/b", "a:b", "s3:/x", "x//y", "./s3://x", "C:/x"])
def test_paths_are_taken_as_they_are(text):
    assert str(local_path(text)) == text.replace("//", "/").removeprefix("./")
