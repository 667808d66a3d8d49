"""The contact sheets show the rows that the tables name, the surest first; without data or faces a sentence says so."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from lssat.data.prepared.table import INFO_FILE
from search.page.sections.faces import doubtful, mistakes, reconstructions
from search.page.sections.faces.labelled import MOST_SHOWN
from search.page.sections.faces.sheet import SIDE, SMALLEST, Face, contact_sheet, fitted
from search.page.study import read_study
from search.record.folder import Stage
from tests.search.page import answered
from tests.search.page.answered import Answers, labels, pictures_in, right, rows_on, said_in, tables_in

WRONG = {5: 3.0, 300: 6.0, 599: 4.0, 0: 1.0}
"""Row -> how sure a model is of the wrong answer; they are in all three row groups."""
SUREST = [300, 599, 5, 0]


def but_wrong(task, wrong, column=0):
    """Right, but for these rows."""
    found = right(task)
    for row, sure in wrong.items():
        if task == "hue":
            found[row] = sure * np.eye(3)[(labels(task)[row] + 1) % 3]
        else:
            found[row, column] *= -sure
    return found


@pytest.mark.parametrize(("task", "lines"), [("hue", 3), ("male", 4), ("traits", 3)])
def test_the_sheet_shows_the_rows_that_the_model_was_surest_of_and_wrong(tmp_path, task, lines):
    study = answered.study(tmp_path, Answers(task, [but_wrong(task, WRONG), right(task)]))
    section = mistakes.section(study)
    (sheet,) = pictures_in(section)
    assert rows_on(sheet, lines) == SUREST
    found = tables_in(section)["mistakes"]
    assert [row["row"] for row in found] == SUREST
    assert [row["confidence"] for row in found] == sorted((row["confidence"] for row in found), reverse=True)
    total = 2 * answered.ROWS if task == "traits" else answered.ROWS
    assert f"is wrong about 4 of {total:,}" in said_in(section)["mistakes.count"]
    assert "From validation" in sheet.caption


def test_words_below_a_face_say_label_prediction_row_and_person(tmp_path):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG)]))
    first, *_ = tables_in(mistakes.section(study))["mistakes"]
    assert first | {"confidence": None} == {
        "row": 300,
        "unit": "val 150",
        "label": "male 0",
        "prediction": "male 1",
        "confidence": None,
    }
    assert first["confidence"] == pytest.approx(1 / (1 + np.exp(-6)))


def test_an_attribute_is_named_and_its_other_columns_are_no_mistakes(tmp_path):
    study = answered.study(tmp_path, Answers("traits", [but_wrong("traits", {7: 5.0}, column=1)]))
    (only,) = tables_in(mistakes.section(study))["mistakes"]
    assert (only["row"], only["attribute"], only["label"], only["prediction"]) == (7, "beard", "yes", "no")


def test_of_a_video_the_frame_is_shown_that_the_model_is_surest_of(tmp_path):
    """Two frames are foretold wrongly, so that the video is; of another video one frame is, and the video is not."""
    said = but_wrong("deepfake", {9: 2.0, 10: 8.0, 11: 3.0, 100: 1.5})
    section = mistakes.section(answered.study(tmp_path, Answers("deepfake", [said])))
    (only,) = tables_in(section)["mistakes"]
    assert (only["row"], only["video"], only["label"]) == (10, "val video 2", "real")
    (sheet,) = pictures_in(section)
    assert rows_on(sheet, 4) == [10]
    assert f"1 of {answered.ROWS // answered.FRAMES} videos" in said_in(section)["mistakes.count"]


def test_a_sheet_has_at_most_24_faces_and_is_small(tmp_path):
    wrong = {row: 2 + row / 100 for row in range(0, answered.ROWS, 7)}
    section = mistakes.section(answered.study(tmp_path, Answers("hue", [but_wrong("hue", wrong)])))
    (sheet,) = pictures_in(section)
    assert rows_on(sheet, 3) == sorted(wrong, reverse=True)[:MOST_SHOWN]
    assert len(tables_in(section)["mistakes"]) == len(wrong)
    assert len(sheet.content) < 400_000


def test_doubtful_are_the_labels_that_all_runs_contradict_and_are_sure_of_in_the_mean(tmp_path):
    first = but_wrong("male", {5: 3.0, 300: 6.0, 599: 9.0, 20: 1.0})
    second = but_wrong("male", {5: 3.0, 300: 5.0, 20: 1.0, 8: 7.0})
    section = doubtful.section(answered.study(tmp_path, Answers("male", [first, second])))
    found = tables_in(section)["doubtful_labels"]
    assert [row["row"] for row in found] == [300, 5], "20 is not sure enough, 599 and 8 are doubted by one run alone"
    assert found[0]["confidence"] == pytest.approx(np.mean(1 / (1 + np.exp([-6, -5]))))
    assert found[1]["label"] == "male 1" and found[1]["prediction"] == "male 0" and found[1]["unit"] == "val 2"
    (sheet,) = pictures_in(section)
    assert rows_on(sheet, 4) == [300, 5]
    assert said_in(section)["doubtful.count"].startswith(f"2 of {answered.ROWS} labels of images of validation")


def test_runs_that_contradict_a_label_in_different_ways_are_all_told(tmp_path):
    said = [right("hue"), right("hue"), right("hue")]
    for place, answer in enumerate((1, 2, 2)):
        said[place][3] = 9 * np.eye(3)[answer]
    (only,) = tables_in(doubtful.section(answered.study(tmp_path, Answers("hue", said))))["doubtful_labels"]
    assert (only["label"], only["prediction"]) == ("a", "c, b"), "what most say comes first"


def test_one_final_run_doubts_no_label(tmp_path):
    study = answered.study(tmp_path, Answers("hue", [but_wrong("hue", WRONG)]))
    study.folder.record(Stage.FINAL, "0000-seed2").predictions("val").unlink()
    assert said_in(doubtful.section(study)) == {
        "doubtful.lacking": "Doubtful labels take the kept predictions of two final runs, but there are those of 1."
    }


def gone(study):
    shutil.rmtree(study.prepared)


def of_other_data(study):
    path = study.prepared / INFO_FILE
    path.write_text(path.read_text().replace('"made"', '"other"'))


def without_shards(study):
    for path in study.prepared.glob("val-*.parquet"):
        path.unlink()


def damaged(study):
    for path in study.prepared.glob("val-*.parquet"):
        path.write_bytes(path.read_bytes()[:400])


@pytest.mark.parametrize("spoil", [gone, of_other_data, without_shards, damaged])
def test_without_the_data_a_sentence_stands_for_the_faces_and_the_tables_stay(tmp_path, spoil):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG), but_wrong("male", WRONG)]))
    spoil(study)
    study = read_study(study.folder.path, "made")
    section, doubts = mistakes.section(study), doubtful.section(study)
    assert not pictures_in(section) and not pictures_in(doubts)
    assert "the prepared data" in said_in(section)["mistakes.faces"]
    assert len(tables_in(section)["mistakes"]) == 4
    assert tables_in(doubts)["doubtful_labels"]


def test_no_faces_leaves_out_every_picture_of_the_data(tmp_path):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG)] * 2, auxiliary=True))
    study.folder.record(Stage.FINAL, study.chosen.run).panel.write_bytes(panel(64))
    with_faces = [each(study) for each in (reconstructions.section, mistakes.section, doubtful.section)]
    assert all(pictures_in(section) for section in with_faces)
    without = read_study(study.folder.path, "made", with_faces=False)
    sections = [each(without) for each in (reconstructions.section, mistakes.section, doubtful.section)]
    assert not any(pictures_in(section) for section in sections)
    assert "left out, as asked" in said_in(sections[1])["mistakes.faces"]


@pytest.mark.parametrize("is_synthetic", [True, False])
def test_who_sends_pictures_of_people_is_warned(tmp_path, is_synthetic):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG)], is_synthetic=is_synthetic))
    assert ("mistakes.sharing" in said_in(mistakes.section(study))) != is_synthetic


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"PAR1 no"),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"data": "made"', b'"data": "else"')),
    ],
    ids=["gone", "damaged", "of other data"],
)
def test_without_predictions_a_sentence_says_what_is_lacking(tmp_path, spoil):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG)] * 2))
    spoil(study.folder.record(Stage.FINAL, study.chosen.run).predictions("val"))
    section = mistakes.section(study)
    assert list(said_in(section)) == ["mistakes.lacking"]
    assert study.chosen.run in said_in(section)["mistakes.lacking"] and str(tmp_path) not in str(said_in(section))
    assert "there are those of 1" in said_in(doubtful.section(study))["doubtful.lacking"]


def test_a_study_before_its_test_split_is_opened_shows_the_run_that_leads(tmp_path):
    study = answered.study(tmp_path, Answers("male", [but_wrong("male", WRONG)]))
    assert study.winner is None
    assert len(tables_in(mistakes.section(study))["mistakes"]) == 4


def test_a_picture_that_cannot_be_opened_is_a_grey_square_among_the_others():
    out = io.BytesIO()
    Image.new("RGB", (10, 20), "red").save(out, "PNG")
    sheet = Image.open(io.BytesIO(contact_sheet([Face(b"no picture", ["a"]), Face(out.getvalue(), ["b", "c"])])))
    assert sheet.getpixel((SIDE // 2, SIDE // 2)) == pytest.approx((217, 223, 229), abs=4)
    assert sheet.getpixel((SIDE + 2 * 12 + SIDE // 2, SIDE // 2)) == pytest.approx((254, 0, 0), abs=4)


@pytest.mark.parametrize("text", ["a", "Wearing_Necktie", "is Disgust", "W" * 300, "said \u202eevil\nname", "größe"])
def test_words_are_no_wider_than_the_face_above_them(text):
    shown, font = fitted(text)
    assert font.getlength(shown) <= SIDE
    assert font.size >= SMALLEST
    assert "\n" not in shown and "\u202e" not in shown


def panel(side, is_noise=False):
    out, generator = io.BytesIO(), np.random.default_rng(0)
    pixels = generator.integers(0, 256, (4 * side, 4 * side, 3)) if is_noise else np.zeros((4 * side, 4 * side, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_the_panel_is_shown_as_it_was_kept_unless_it_is_too_heavy(tmp_path):
    study = answered.study(tmp_path, Answers("male", [right("male")], auxiliary=True))
    path = study.folder.record(Stage.FINAL, study.chosen.run).panel
    assert list(said_in(reconstructions.section(study))) == ["reconstructions.lacking"]
    path.write_bytes(panel(64))
    (shown,) = pictures_in(reconstructions.section(study))
    assert (shown.content, shown.suffix) == (path.read_bytes(), "png")
    path.write_bytes(panel(224, is_noise=True))
    (shown,) = pictures_in(reconstructions.section(study))
    assert len(shown.content) < len(path.read_bytes()) / 2
    assert Image.open(io.BytesIO(shown.content)).size == (896, 896)


def test_a_run_without_the_auxiliary_task_has_rebuilt_nothing(tmp_path):
    study = answered.study(tmp_path, Answers("male", [right("male")]))
    assert "without the auxiliary task" in said_in(reconstructions.section(study))["reconstructions.none"]
