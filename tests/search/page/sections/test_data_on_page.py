"""What the page says of the data is what lies beside them: counts, rejects and leaks, or that they are gone."""

from search.page.document import Statement, Table
from search.page.sections import data
from tests.search.page.made import ROWS, begun, dataset, of_kind, on_page

LEAKS = [
    ("image", "train", "3", "test", "5", "correlation 0.991"),
    ("identity", "train", "4", "val", "6", "anna"),
    ("image", "train", "3", "val", "7", "correlation 0.972"),
]


def section(tmp_path, **of_data):
    tmp_path.mkdir(exist_ok=True)
    return data.section(on_page(begun(tmp_path / "s", prepared=dataset(tmp_path / "data", **of_data))))


def test_counts_of_classes_add_up_to_the_rows_of_each_split(tmp_path):
    rows = of_kind(section(tmp_path), Table)["classes_of_data"].rows
    *classes, whole = [row[1:4] for row in rows]
    assert whole == list(ROWS.values())
    assert [sum(column) for column in zip(*classes, strict=True)] == whole
    assert [row[4] for row in rows] == [0.25, 0.75, 1.0]


def test_joined_data_sets_are_told_apart(tmp_path):
    datasets = {
        "a": {"source": "a.csv", "fingerprint": "1", "rows": {"train": 600, "val": 0, "test": 0}},
        "b": {"source": "b.csv", "fingerprint": "2", "rows": {"train": 400, "val": 200, "test": 300}},
    }
    found = section(tmp_path, datasets=datasets, validate_on="b")
    assert of_kind(found, Table)["data_sets"].rows == [["a", "a.csv", 600, 0, 0], ["b", "b.csv", 400, 200, 300]]
    assert of_kind(found, Statement)["data.sets"].text.startswith(
        "Validation and test are of `b` alone, training of all. 2 data sets were joined."
    )
    assert "data_sets" not in of_kind(section(tmp_path / "one"), Table)


def test_rejects_are_listed_with_their_reasons(tmp_path):
    rejects = tuple({"row": n, "reason": f"no face in it ({n})"} for n in range(12))
    found = section(tmp_path, rejects=rejects)
    table = of_kind(found, Table)["rejects"]
    assert table.rows == [[n, f"no face in it ({n})"] for n in range(12)]
    assert table.shown == 10
    assert "12 of 1,512 images could not be used" in of_kind(found, Statement)["data.rejects"].text


def test_leaks_are_listed_with_those_that_touch_test(tmp_path):
    found = section(tmp_path, leaks=LEAKS)
    said = of_kind(found, Statement)["data.leaks"]
    assert said.text.startswith(
        "3 pairs of rows in two splits share something (person: 1, near-duplicate image: 2), 1 of"
    )
    assert "scores may be too high" in said.text
    assert said.is_warning
    assert [row[1:] for row in of_kind(found, Table)["leaks"].rows] == [list(leak[1:]) for leak in LEAKS]


def test_leaks_that_nobody_allowed_are_too_few_to_warn_of(tmp_path):
    said = of_kind(section(tmp_path, leaks=LEAKS[:1], allow_leaks=False), Statement)["data.leaks"]
    assert "1 pair of rows in two splits share something" in said.text
    assert "so few do not show in a score" in said.text
    assert not said.is_warning


def test_without_leaks_and_rejects_two_sentences_say_so(tmp_path):
    found = section(tmp_path)
    said = of_kind(found, Statement)
    assert said["data.rejects"].text == "No image was left out."
    assert "No person, video or image is in two splits" in said["data.leaks"].text
    assert of_kind(found, Table).keys() == {"classes_of_data"}


def test_a_video_that_is_called_test_is_no_leak_into_test(tmp_path):
    leaks = [("video", "train", "1", "val", "2", "test")]
    assert ", 0 of them with test" in of_kind(section(tmp_path, leaks=leaks), Statement)["data.leaks"].text


def test_synthetic_faces_are_said_to_be_synthetic(tmp_path):
    assert "say nothing of real faces" in of_kind(section(tmp_path, synthetic=True), Statement)["data.rows"].text


def test_data_that_are_gone_or_another_leave_one_sentence(tmp_path):
    gone = data.section(on_page(begun(tmp_path / "a")))
    folder = dataset(tmp_path / "data")
    (folder / "dataset.json").write_text((folder / "dataset.json").read_text().replace('"x"', '"y"'))
    other = data.section(on_page(begun(tmp_path / "b", prepared=folder)))
    for found in (gone, other):
        (said,) = found.blocks
        assert "1,000 train, 200 val, 300 test; 0 left out" in said.text


def test_a_list_of_leaks_that_is_gone_is_not_taken_for_an_empty_one(tmp_path):
    prepared = dataset(tmp_path / "data")
    (prepared / "leaks.csv").unlink()
    found = data.section(on_page(begun(tmp_path / "s", prepared=prepared)))
    assert "is not known" in of_kind(found, Statement)["data.leaks"].text
