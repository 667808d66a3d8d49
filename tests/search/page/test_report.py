"""`python search/report.py`: what it writes where, and what it says of folders that hold less than a finished study."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from search import report as command
from search.page.document import Chart, Picture, Statement, Table
from search.page.report import BROKEN, SECTIONS, _section, report_of
from search.page.sections import finalists
from search.page.study import read_study
from search.record.folder import Stage
from tests.search.studies import Made, faces, study

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "<script>alert('1')</script> \"&\x1b[31m\udcff"


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished study, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "results" / "moods"))


@pytest.fixture
def made(tmp_path):
    """Makes studies in this folder."""

    def make(name="other", **wanted):
        return study(tmp_path / "results" / name, Made(**wanted), faces(tmp_path / name, Made(**wanted))).path

    return make


def called(monkeypatch, capsys, *words):
    """The command's exit code, and what it printed."""
    monkeypatch.setattr(sys, "argv", ["search/report.py", *map(str, words)])
    code = command.main()
    return code, *capsys.readouterr()


def sentences(found):
    return {block.id.partition(".")[2]: block.text for block in found.blocks if isinstance(block, Statement)}


def test_the_run_folder_has_the_report_of_one_study(copied, monkeypatch, capsys):
    before = {path for path in copied.rglob("*") if path.is_file()}
    monkeypatch.chdir(copied.parent)
    code, out, err = called(monkeypatch, capsys, "moods")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "moods/report.html"
    assert "xdg-open moods/report.html" in out
    written = {path.relative_to(copied).parts[0] for path in copied.rglob("*") if path.is_file() and path not in before}
    assert written == {"report.html", "report.json", "report"}


def test_every_sentence_has_an_id_of_its_own_and_no_part_of_a_whole_study_is_lacking(finished):
    said = [block.id for block in report_of([finished]).blocks if isinstance(block, Statement)]
    assert len(set(said)) == len(said)
    assert all(each.startswith("moods.") for each in said)
    assert not [each for each in said if each.endswith(BROKEN)]


def test_no_two_tables_charts_or_pictures_share_a_file(finished):
    names = [block.name for block in report_of([finished]).blocks if not isinstance(block, Statement)]
    assert [name for name in names if names.count(name) > 1] == []


def test_a_report_is_the_same_each_time(finished):
    assert sentences(report_of([finished])) == sentences(report_of([finished]))


def test_several_studies_are_parts_of_one_page_and_share_no_file(finished, made, monkeypatch, capsys, tmp_path):
    other = made("other")
    code, out, _ = called(monkeypatch, capsys, finished, other, "--out", tmp_path / "both")
    assert code == 0 and out.startswith(str(tmp_path / "both" / "report.html"))
    files = json.loads((tmp_path / "both" / "report.json").read_text())["files"]
    assert len(set(files)) == len(files)
    assert {name.partition("-")[0] for name in files} >= {"moods", "other"}
    monkeypatch.chdir(other.parent)
    code, out, _ = called(monkeypatch, capsys, "other", finished)
    assert out.splitlines()[0] == "report/report.html", "beside the first"


def test_studies_whose_names_a_disk_makes_alike_share_no_file(finished):
    ids = ["a_b", "a b", "a?b"]
    files = [read_study(finished, each, is_one_of_several=True).file("finalists") for each in ids]
    assert len(set(files)) == len(files)
    assert files[0] == "a_b-finalists", "a name that need not change is kept"
    assert [re.sub(r"[\w.+-]", "", each) for each in files] == ["", "", ""]


def test_two_studies_of_one_name_are_refused(finished, copied):
    with pytest.raises(ConfigError, match="must have a name of its own"):
        report_of([finished, copied])


def test_another_study_keeps_its_own_report(finished, copied, monkeypatch, capsys):
    code, _, err = called(monkeypatch, capsys, finished, "--out", copied)
    assert code == 2 and "is a run folder, whose own report would be lost" in err
    assert not (copied / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no study in nowhere; give the folder of a run, results/<name>"),
        (["."], "there is no study in .; give the folder of a run, results/<name>"),
        (["s3://bucket/x"], "must be a path of this machine"),
        (["x", "--watch", "--out", "y"], "`--watch` writes nothing"),
        (["x", "--port", "80"], "`--port` has no meaning without `--watch`"),
        (["x", "--watch", "--port", "70000"], "must be a number from 0 to 65535"),
        ([], "required: FOLDER"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, words, said):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, ROOT / "search" / "report.py", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert time.monotonic() - began < 10, "without what draws: tests/test_house.py knows what is slow to load"
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_told_without_loading_what_draws():
    code = "import sys, search.report; sys.exit(any(name in sys.modules for name in ('altair', 'jinja2', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_damaged_manifest_is_named(copied, monkeypatch, capsys):
    for content in ("{", "[]", '{"name": "x"}', ""):
        (copied / "manifest.json").write_text(content)
        code, _, err = called(monkeypatch, capsys, copied)
        assert code == 2 and len(err.splitlines()) == 1
        assert "manifest.json is no manifest of a study" in err and "restore it from a copy" in err


@pytest.mark.parametrize("name", ["config.json", "outcome.json", "metrics.jsonl"])
def test_a_damaged_record_is_named_and_the_others_are_reported(copied, name):
    (copied / "trials" / "0002" / name).write_text('{"epoch": 1}\n')
    found = report_of([copied])
    said = sentences(found)
    assert "trials/0002 is damaged" in said["damaged.0"] and str(copied) not in said["damaged.0"]
    assert found.parts[0].sections[0].blocks[0].is_warning
    assert not [each for each in said if each.endswith(BROKEN)]
    assert ("trials", "17") in found.facts


def test_of_several_studies_one_that_cannot_be_read_leaves_the_others(copied, finished):
    other = copied.rename(copied.with_name("other"))
    (other / "manifest.json").write_text("{")
    found = report_of([finished, other])
    assert [part.id for part in found.parts][-1] == "other"
    assert "This study is left out: " in found.parts[-1].sections[0].blocks[0].text
    (other / "manifest.json").write_text((finished / "manifest.json").read_text())
    manifest = json.loads((finished / "manifest.json").read_text())
    del manifest["data"]["source"], manifest["data"]["rows"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    found = report_of([finished, other])
    assert len(found.parts[1].sections) > 10 and (found.about, found.facts) == ("", []), "what the record lacks"


def test_a_results_folder_that_cannot_be_written_is_one_sentence_and_out_helps(copied, monkeypatch, capsys, tmp_path):
    (copied / "report").touch()  # as root may write everywhere, a file stands in the way
    code, _, err = called(monkeypatch, capsys, copied)
    assert code == 2 and len(err.splitlines()) == 1 and "choose another folder by `--out`" in err
    code, _, _ = called(monkeypatch, capsys, copied, "--out", tmp_path / "out")
    assert code == 0


def test_a_study_whose_epoch_was_cut_by_a_kill_has_a_report(copied):
    with (copied / "trials" / "0000" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 5, "val/sc')
    assert "Take" in sentences(report_of([copied]))["winner"]


def test_without_any_trial_it_says_so(copied):
    for stage in Stage:
        shutil.rmtree(copied / stage, ignore_errors=True)
    said = sentences(report_of([copied]))
    assert said["open"] == "There is no winner: no trial has begun yet."
    assert "--resume" in next(block.command for block in report_of([copied]).blocks if block.id == "moods.next.resume")


def test_without_a_finished_trial_it_says_how_far_it_is(copied):
    for stage in (Stage.BASELINE, Stage.FINAL):
        shutil.rmtree(copied / stage, ignore_errors=True)
    for trial in (copied / "trials").iterdir():
        (trial / "outcome.json").unlink()
    said = sentences(report_of([copied]))
    assert said["open"] == "There is no winner: no trial had its full budget yet (18 running)."
    assert "leading" not in said


@pytest.mark.parametrize("ends", [Stage.SEARCH, Stage.FINAL])
def test_an_interrupted_study_names_who_leads_and_how_to_go_on(made, ends):
    said = sentences(report_of([made(ends=ends)]))
    assert "There is no winner yet" in said["open"] and "the test split is closed" in said["open"]
    assert "this is too high" in said["leading"]
    assert "winner" not in said and not [each for each in said if each.endswith(BROKEN)]


def test_what_begins_while_the_page_is_made_is_of_the_next_page(copied):
    """In each stage, after the study was read."""
    before, study = report_of([copied]), read_study(copied, "moods")
    for stage in (Stage.SEARCH, Stage.FINAL):
        first = next((copied / stage).iterdir())
        shutil.copytree(first, first.with_name("0099-seed9" if stage is Stage.FINAL else "0099"))
    sections = [found for make in SECTIONS if (found := _section(make, study))]
    assert not [block.id for found in sections for block in found.blocks if getattr(block, "id", "").endswith(BROKEN)]
    tables = [
        {block.name: block.rows for block in blocks if isinstance(block, Table)}
        for blocks in (before.blocks, [block for found in sections for block in found.blocks])
    ]
    assert tables[0] == tables[1]


def test_without_a_database_or_prepared_data_the_record_is_enough(copied):
    (copied / "study.db").unlink()
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["data"]["prepared"] = "/nowhere"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    said = sentences(report_of([copied]))
    assert "Take" in said["winner"] and not [each for each in said if each.endswith(BROKEN)]


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_without_predictions_it_says_why_nothing_is_claimed(copied, how):
    for path in copied.rglob("predictions-*.parquet"):
        path.unlink() if how == "gone" else path.write_bytes(b"PAR1 nothing")
    found = report_of([copied])
    said = sentences(found)
    assert "Take" in said["winner"], "its score is on record"
    assert "cannot be told: " in said["best"] and "predictions" in said["best"]
    assert not [each for each in said if each.endswith(BROKEN)]


def test_a_part_that_cannot_be_made_is_one_sentence_among_the_others(finished):
    def section(study):
        raise KeyError("x" + HOSTILE)

    section.__module__ = "search.page.sections.some_part"
    found = _section(section, read_study(finished, "s"))
    assert (found.id, found.title) == ("some_part", "Some part")
    (said,) = found.blocks
    assert said.id == "s.some_part.broken" and said.is_warning
    assert said.text.startswith("This part cannot be shown: KeyError")


def test_names_that_a_page_might_obey_are_kept_in_files_of_plain_names(made, monkeypatch, capsys, tmp_path):
    classes = (HOSTILE, "a,b|c\n", "{{ 1 }}")
    folder = made("hostile", classes=classes, reason=HOSTILE)
    folder = folder.rename(folder.with_name(HOSTILE.replace("/", "")))
    code, _, err = called(monkeypatch, capsys, folder, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script>alert" not in page and "\x1b" not in page
    assert "&lt;script&gt;alert" in page
    assert "are damaged" not in page, "predictions are read wherever they lie"
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert all(name.isascii() and name.isprintable() for name in found["files"])
    other = made("plain")
    code, _, err = called(monkeypatch, capsys, folder, other, "--out", tmp_path / "both")
    assert (code, err) == (0, ""), "its name begins names of files here"


def test_faces_are_left_out_where_that_is_asked_for(finished):
    assert not [block for block in report_of([finished], with_faces=False).blocks if isinstance(block, Picture)]


def test_charts_are_drawn_in_the_order_of_the_page(finished):
    found = report_of([finished])
    assert [section.id for section in found.parts[0].sections][:2] == ["answer", "next"]
    assert [block for block in found.blocks if isinstance(block, Chart)]
    assert len({make.__module__ for make in SECTIONS}) == len(SECTIONS)


def test_the_table_of_finalists_holds_numbers_with_all_their_digits(finished):
    study = read_study(finished, "moods")
    (table,) = [block for block in finalists.section(study).blocks if isinstance(block, Table)]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["score"] for row in rows] == [row.mean for row in study.table]
    assert [row["difference"] for row in rows] == [row.best.difference for row in study.table]
    assert [row["low"] for row in rows] == [
        None if row.best.difference is None else row.best.claim.low for row in study.table
    ]
