"""Files are whole or not there, and on disk before the caller goes on."""

import json
import os

import pytest

from lssat import files


@pytest.fixture
def flushed(monkeypatch):
    """The paths that are flushed to disk, in order."""
    paths, fsync = [], os.fsync

    def record(handle):
        paths.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", record)
    return paths


def test_a_new_file_in_new_folders_is_on_disk_with_the_folders_that_name_it(tmp_path, flushed):
    files.write_json(tmp_path / "a" / "b" / "c.json", {"x": 1})
    assert json.loads((tmp_path / "a" / "b" / "c.json").read_text()) == {"x": 1}
    assert flushed == [str(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a/b/.c.json.tmp", tmp_path / "a/b")]


def test_a_line_is_added_and_its_file_named_once(tmp_path, flushed):
    for number in (1, 2):
        files.append_json_line(tmp_path / "lines.jsonl", {"x": number})
    assert [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()] == [{"x": 1}, {"x": 2}]
    assert flushed == [str(tmp_path / "lines.jsonl"), str(tmp_path), str(tmp_path / "lines.jsonl")]


@pytest.mark.parametrize("text", ["", "ä\n", "a\r\nb"])
def test_text_is_kept_as_it_is_and_replaced_as_a_whole(tmp_path, text):
    files.write_text(tmp_path / "t.txt", "before")
    files.write_text(tmp_path / "t.txt", text)
    assert (tmp_path / "t.txt").read_bytes() == text.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


def test_a_file_that_is_not_written_to_its_end_leaves_the_old_one(tmp_path, flushed):
    def write(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    files.write_whole(tmp_path / "a" / "w.bin", lambda path: path.write_bytes(b"whole"))
    assert flushed[-2:] == [str(tmp_path / "a" / ".w.bin.tmp"), str(tmp_path / "a")]
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(tmp_path / "a" / "w.bin", write)
    assert (tmp_path / "a" / "w.bin").read_bytes() == b"whole"
    files.write_whole(tmp_path / "a" / "w.bin", lambda path: path.write_bytes(b"new"))
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "a").iterdir()] == [("w.bin", b"new")]


def test_stamps_tell_what_was_written_and_pass_over_what_is_gone(tmp_path):
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.write_text("a")
    before = files.stamps([here, gone])
    assert [path for path, *_ in before] == [str(here)] and files.stamps([gone, here]) == before
    here.write_text("ab")
    assert files.stamps([here, gone]) != before
    gone.write_text("")
    assert len(files.stamps([here, gone])) == 2
