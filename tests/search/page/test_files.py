"""What a report leaves on disk: whole, readable by programs, and nothing of an earlier one."""

import csv
import json
import struct

import altair as alt
import pytest

from lssat.errors import ConfigError
from search.page.charts import spec, values
from search.page.document import Chart, Part, Picture, Report, Section, Statement, Table, shown
from search.page.files import claims, write

TABLE = Table("scores", "Scores | of all", ("arm", "score", "a|b"), [["x", 0.123456, "<b>"], ["y", None, "\udcff\x1b"]])
SAID = Statement("s.winner", "Take x.", "a rule", (0.1, float("nan")), 0.01, "scores.csv", is_warning=True)


def chart(name="curve", rows=({"at": 1, "of": "\udcff"}, {"at": float("inf"), "of": "b"})):
    drawn = alt.Chart(values(rows)).mark_point().encode(x="at:Q", y=alt.Y("of:N", sort=[row["of"] for row in rows]))
    return Chart(name, "How far?", drawn)


def report(*blocks):
    return Report("moods", "task mood", [("images", "3")], [Part("s", "", [Section("answer", "The answer", blocks)])])


@pytest.fixture
def picture():
    return Picture("faces", "Faces", b"\x89PNG content", "faces", suffix="png")


def test_every_block_is_a_file_that_the_json_names(tmp_path, picture):
    page = write(report(SAID, TABLE, chart(), picture), tmp_path)
    assert page == tmp_path / "report.html"
    found = json.loads((tmp_path / "report.json").read_text())
    assert sorted(found["files"]) == sorted(file.name for file in (tmp_path / "report").iterdir())
    assert set(found["files"]) == {"scores.csv", "scores.md", "curve.svg", "curve.png", "faces.png"}
    assert (tmp_path / "report" / "faces.png").read_bytes() == picture.content
    png = (tmp_path / "report" / "curve.png").read_bytes()
    assert png.startswith(b"\x89PNG") and struct.unpack(">I", png[16:20])[0] > 1000, "wide enough for print"


def test_tables_keep_all_digits_and_all_rows_for_programs(tmp_path):
    many = Table("many", "Many", ("n",), [[1 / (number + 3)] for number in range(50)], shown=2)
    page = write(report(TABLE, many), tmp_path).read_text()
    with (tmp_path / "report" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"arm": "x", "score": "0.123456", "a|b": "<b>"}
    assert rows[1] == {"arm": "y", "score": "", "a|b": r"\xff\x1b"}
    assert "| x | 0.1235 | <b> |" in (tmp_path / "report" / "scores.md").read_text()
    assert len((tmp_path / "report" / "many.csv").read_text().splitlines()) == 51
    assert page.count("<tr") == 1 + 2 + 1 + 2, "two heads, two rows each"
    assert "The first 2 of 50 rows; all are in report/many.csv." in page


def test_sentences_are_there_for_programs_and_no_number_is_invented(tmp_path):
    write(report(SAID), tmp_path)
    (said,) = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)["claims"]
    assert (said["id"], said["text"], said["margin"], said["data"]) == ("s.winner", "Take x.", 0.01, "scores.csv")
    assert said["interval"] == [0.1, None], "JSON has no NaN"
    assert (said["part"], said["section"], said["is_warning"]) == ("s", "answer", True)


def test_what_an_earlier_report_left_is_gone_and_what_is_not_its_own_stays(tmp_path):
    write(report(TABLE, chart("old")), tmp_path)
    own = tmp_path / "report" / "notes.txt"
    own.write_text("mine")
    write(report(TABLE), tmp_path)
    assert {file.name for file in own.parent.iterdir()} == {"scores.csv", "scores.md", "notes.txt"}


def test_no_file_outside_is_deleted_whatever_an_earlier_json_says(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.touch()
    (tmp_path / "report" / "folder").mkdir(parents=True)
    names = '["../precious.txt", "..", ".", "", "folder", "\\u0000", "/etc/none"]'
    for damaged in ('{"files": [".."]}', f'{{"files": {names}}}', '{"files": 1}', "[]", "{", ""):
        (tmp_path / "report.json").write_text(damaged)
        write(report(TABLE), tmp_path)
        assert precious.exists() and (tmp_path / "report" / "folder").is_dir()


def test_a_report_that_was_cut_short_leaves_nothing_that_the_next_one_does_not_know(tmp_path):
    (tmp_path / "report" / "scores.md").mkdir(parents=True)  # in the way of a table, after its CSV
    with pytest.raises(ConfigError):
        write(report(TABLE), tmp_path)
    (tmp_path / "report" / "scores.md").rmdir()
    write(report(), tmp_path)
    assert list((tmp_path / "report").iterdir()) == []


def test_without_drawn_charts_the_page_has_them_and_the_folder_has_none(tmp_path):
    write(report(chart()), tmp_path)
    page = write(report(chart()), tmp_path, draws_charts=False).read_text()
    assert 'data-chart="curve"' in page
    assert list((tmp_path / "report").iterdir()) == []
    assert claims(report(chart()), draws_charts=False)["files"] == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written into .*file \(File exists\); choose another"):
        write(report(TABLE), tmp_path / "file")


def test_a_chart_can_be_read_whatever_its_data_hold():
    made = spec(chart().chart)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    json.dumps(made, ensure_ascii=False).encode()  # no half characters, which neither a page nor a drawer can hold
    assert "$schema" not in made, "an address"
    assert made["width"] == "container"
    assert spec(chart().chart, 720)["width"] == 720


def test_columns_that_are_alike_are_said_once():
    table = Table("t", "T", ("arm", "streams", "n"), [["a", "RGB", 1], ["b", "RGB", 1]], note="Means.")
    found = table.without_alike(("streams",))
    assert found.columns == ["arm", "n"] and found.rows == [["a", 1], ["b", 1]], "n is no setting"
    assert found.note == "Means. Alike in all rows: streams RGB."
    one = Table("t", "T", ("streams",), [["RGB"]])
    assert one.without_alike(("streams",)) is one, "of one row nothing is alike"


@pytest.mark.parametrize(
    ("cell", "words"), [(None, ""), (0.5, "0.5000"), (12345.6, "12,346"), (6353, "6,353"), (True, "True"), ("a", "a")]
)
def test_a_cell_in_words(cell, words):
    assert shown(cell) == words
