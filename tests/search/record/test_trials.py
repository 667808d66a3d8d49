"""What is on record of a trial is there after a kill at any moment, under today's keys."""

import json
import os

import pytest

from lssat import files
from lssat.config import build
from search.record.trials import Outcome, Status, TrialRecord
from tests.search.records import epoch, record

SAMPLED = {"backbone.family": "resnet", "backbone.size": "atto", "optim.epochs": 4, "optim.lr": 0.002}


def test_what_was_written_is_read(tmp_path):
    written = record(tmp_path / "0007", SAMPLED, [epoch(1, 0.5), epoch(2, 0.6, best_gap=0.1)], "stopped")
    read = TrialRecord(tmp_path / "0007")
    assert (read.name, read.exists, read.sampled) == ("0007", True, SAMPLED)
    assert read.config == written.config
    assert read.epochs == written.epochs == [epoch(1, 0.5), epoch(2, 0.6, best_gap=0.1)]
    assert (read.num_epochs, read.seconds, read.last) == (2, 2.0, epoch(2, 0.6, best_gap=0.1))
    assert read.outcome == Outcome(Status.STOPPED, "", 2.0)
    start, end = read.span
    assert end - start == pytest.approx(1.0, abs=0.1), "one second before the first line was written"


def test_a_trial_that_has_not_begun(tmp_path):
    read = TrialRecord(tmp_path / "0000")
    assert (read.exists, read.epochs, read.last, read.num_epochs, read.seconds, read.outcome, read.status) == (
        False, [], None, 0, 0.0, None, Status.RUNNING,
    )  # fmt: skip


def test_the_panel_is_not_on_record(tmp_path):
    read = record(tmp_path / "0000", SAMPLED, [epoch(1, 0.5, panel=b"PNG")])
    assert b"PNG" not in (tmp_path / "0000" / "metrics.jsonl").read_bytes()
    assert read.last.panel is None


@pytest.mark.parametrize("cut", ["{", '{"epoch": 3, "val/b', '{"epoch": 3, "epochs": 4, "val/best": 0.7'])
def test_a_line_that_a_kill_has_cut_does_not_count_and_is_not_joined_to_the_next(tmp_path, cut):
    record(tmp_path / "0000", SAMPLED, [epoch(1, 0.5), epoch(2, 0.6)])
    path = tmp_path / "0000" / "metrics.jsonl"
    path.write_text(path.read_text() + cut)
    goes_on = TrialRecord(tmp_path / "0000")
    assert goes_on.num_epochs == 2
    goes_on = goes_on.begin(SAMPLED, build(SAMPLED))
    goes_on.append(epoch(3, 0.7), 9.0)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert TrialRecord(tmp_path / "0000").epochs == goes_on.epochs


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "outcome.json"])
def test_a_record_is_on_disk_before_the_caller_goes_on(tmp_path, monkeypatch, name):
    """A power cut loses what the system still holds: each file is flushed, and the folder that names it."""
    flushed = []
    fsync = os.fsync

    def note(handle):
        flushed.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", note)
    record(tmp_path / "0000", SAMPLED, [epoch(1, 0.5)], "complete")
    folder = str(tmp_path / "0000")
    written = [path for path in flushed if path.endswith((name, f".{name}.tmp"))]
    assert written, "the file itself"
    assert folder in flushed[flushed.index(written[0]) :], "and its entry in the folder, afterwards"


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_kill_while_a_file_is_replaced_leaves_the_old_one(tmp_path, monkeypatch, moment):
    made = record(tmp_path / "0000", SAMPLED, [])

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    if moment == "write":
        monkeypatch.setattr(type(tmp_path), "open", killed)
    elif moment == "fsync":
        monkeypatch.setattr(files.os, "fsync", killed)
    else:
        monkeypatch.setattr(type(tmp_path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        made.begin({**SAMPLED, "optim.lr": 0.5}, made.config)
    monkeypatch.undo()
    assert TrialRecord(tmp_path / "0000").sampled == SAMPLED


def test_keys_of_the_version_before_are_read_under_their_names_of_today(tmp_path):
    old = {"streams": "MRGB/RLBP/CRGB", "target.lbp_points": 16, "target.ldp_signed": True, "target.encoding": "scaled"}
    files.write_json(tmp_path / "0000" / "config.json", {"sampled": old, "resolved": {}, "hash": "00000000"})
    read = TrialRecord(tmp_path / "0000")
    assert read.sampled == {
        "streams": "MRGB/RLBP/CRGB",
        "texture.lbp_points": 16,
        "texture.ldp_signed": True,
        "target.encoding": "scaled",
    }
    assert (read.config.texture.lbp_points, read.config.texture.ldp_signed) == (16, True)
