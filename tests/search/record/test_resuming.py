"""The line that goes on with a study: what was typed, without what must not be repeated, of the folder of now."""

import shlex

import pytest

from search.command_line.arguments import parser
from search.record.folder import RunFolder
from search.record.resuming import resume_line

SPACE = ["--space", "spaces/backbones.yaml"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ([], []),
        (["--overwrite", "--hours", "2"], ["--hours", "2"]),
        (["--extend", "5", "--set", "search.margin=0.1"], ["--set", "search.margin=0.1"]),
        (["--extend=5", "--name=old", "--results=there"], []),
        (["--name", "old", "--results", "there", "--resume"], []),
        (["--over", "--na", "old", "--resul", "x"], []),
        (["--quick"], ["--quick"]),
    ],
)
def test_what_began_a_session_is_not_typed_again_and_the_folder_is_named_as_it_is_now(
    tmp_path, monkeypatch, typed, kept
):
    monkeypatch.chdir(tmp_path)
    line = resume_line(["python", "search/run.py"], [*SPACE, *typed], RunFolder(tmp_path / "results" / "a name"))
    words = shlex.split(line)
    assert words == ["python", "search/run.py", *SPACE, *kept, "--resume", "--name", "a name"]
    parsed = parser().parse_args(words[2:])
    assert (parsed.resume, parsed.name, parsed.overwrite, parsed.extend) == (True, "a name", False, None)


def test_results_elsewhere_are_named_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resume_line(["lssat-search"], SPACE, RunFolder(tmp_path / "moved" / "x")).endswith(
        "--resume --results moved --name x"
    )
