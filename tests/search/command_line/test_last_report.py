"""A search leaves its report however it ends, and that never hides how it ended."""

import _thread
import io
import json
import shutil
import threading
from pathlib import Path

import pytest

from lssat.text.console import SafeConsole
from search.command_line.last_report import leave_report
from search.record.folder import RunFolder
from search.record.manifest import read_manifest
from tests.search.studies import Made, faces, study


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("last")
    return study(folder / "moods", Made(), faces(folder, Made())).path


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The run folder of a study, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path(shutil.copytree(made, tmp_path / "moods")))


def left(folder, begun=None):
    """What it prints."""
    console = SafeConsole(file=io.StringIO(), width=80)
    leave_report(folder, begun, console)
    return console.file.getvalue()


def test_the_last_line_names_the_page(folder):
    assert left(folder) == "  report               moods/report.html\n"
    assert folder.report.exists()


def test_charts_are_drawn_into_files_where_nobody_waits_for_the_end(folder):
    left(folder)
    assert list((folder.path / "report").glob("*.svg"))
    manifest = read_manifest(folder.manifest)
    manifest.content["sessions"][-1]["ended"] = None
    folder.manifest.write_text(json.dumps(manifest.content))
    left(folder)
    assert folder.report.exists() and not list((folder.path / "report").glob("*.svg"))


def test_a_session_that_goes_on_with_a_study_has_it_made_anew(folder):
    now = read_manifest(folder.manifest)
    begun = read_manifest(folder.manifest)
    now.content["sessions"].append(now.content["sessions"][0])
    now.end_session()
    assert "report.html" in left(folder, begun)


def test_nothing_is_written_of_a_session_that_never_began(folder):
    assert left(folder, begun=read_manifest(folder.manifest)) == "", "of a study that `--resume` could not go on with"
    folder.study_db.unlink()
    assert left(folder) == ""
    folder.manifest.unlink()
    assert left(folder) == ""
    assert not folder.report.exists()


@pytest.mark.parametrize("how", ["place", "manifest"])
def test_a_report_that_fails_is_one_line_that_says_how_to_make_it(folder, how):
    if how == "place":
        (folder.path / "report").touch()
    else:
        folder.manifest.write_text("{")
    said = left(folder)
    assert said.count("\n") == 1 and said.startswith("there is no report of this session (")
    assert said.rstrip().endswith("search/report.py moods") and "Traceback" not in said


def test_whoever_presses_ctrl_c_once_more_is_obeyed(folder):
    threading.Timer(0.1, _thread.interrupt_main).start()
    said = left(folder)
    assert said.startswith("there is no report of this session (interrupted); make it by: ")
    assert not folder.report.exists()


def test_a_terminal_that_is_gone_changes_nothing(folder):
    with open("closed", "w") as file:
        console = SafeConsole(file=file)
    leave_report(folder, None, console)
    assert folder.report.exists()
