"""The sections by class say the numbers of test.json, of the version before too, or those of validation until then."""

import copy

import numpy as np
import pytest

from lssat.evaluation.metrics import evaluate_scores
from search.page import render
from search.page.document import Chart
from search.page.report import report_of
from search.page.sections.classes import by_class, calibration, subgroups
from search.page.study import StudyOnPage
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest
from tests.search.page import answered
from tests.search.page.answered import KINDS, Answers, labels, right, said_in, tables_in


def unsure(task, seed=0):
    """Right more often than not."""
    generator = np.random.default_rng(seed)
    return right(task) + generator.normal(size=right(task).shape)


def studied(tmp_path, task, is_tested=True):
    said = unsure(task)
    return answered.study(tmp_path, Answers(task, [said, unsure(task, 1)], is_tested=is_tested)), said


def with_card(study, **changed):
    """The same study, whose winner's scorecard says otherwise."""
    content = copy.deepcopy(study.manifest.content)
    results = content["test_opened"][0]["results"]
    for name, value in changed.items():
        results[study.chosen.run][name] = value
    return StudyOnPage(study.id, study.folder, Manifest(study.manifest.path, content))


def charts_in(section):
    return {block.name: block for block in section.blocks if isinstance(block, Chart)}


def cells_of(chart):
    return {(cell["truth"], cell["prediction"]): cell["count"] for cell in render.spec(chart.chart)["data"]["values"]}


@pytest.mark.parametrize("task", ["hue", "male"])
def test_the_table_by_class_says_the_numbers_of_the_scorecard_by_name(tmp_path, task):
    study, _ = studied(tmp_path, task)
    card, section = study.winner.card, by_class.section(study)
    names = [f"male {name}" for name in KINDS[task][1]] if task == "male" else list(KINDS[task][1])
    found = {row.pop("class"): row for row in tables_in(section)["by_class"]}
    assert list(found) == names
    counts = np.array(card["confusion"]["counts"])
    for place, name in enumerate(names):
        hits, support, predicted = counts[place, place], counts[place].sum(), counts[:, place].sum()
        assert (found[name]["support"], found[name]["predicted"]) == (support, predicted)
        assert found[name]["recall"] == pytest.approx(hits / support)
        assert found[name]["precision"] == pytest.approx(hits / predicted)
    assert sum(row["support"] for row in found.values()) == answered.ROWS


def test_in_the_chart_of_confusion_a_row_is_a_true_class(tmp_path):
    study, _ = studied(tmp_path, "hue")
    cells = cells_of(charts_in(by_class.section(study))["confusion"])
    for truth, row in zip(
        study.winner.card["confusion"]["classes"], study.winner.card["confusion"]["counts"], strict=True
    ):
        assert [cells[truth, prediction] for prediction in ("a", "b", "c")] == row
        assert sum(row) == np.count_nonzero(labels("hue") == "abc".index(truth))
    spec = render.spec(charts_in(by_class.section(study))["confusion"].chart)
    assert spec["layer"][0]["encoding"]["y"]["title"] == "truly"
    assert spec["layer"][0]["encoding"]["x"]["title"] == "taken for"


def test_the_most_frequent_mistakes_come_first_and_hits_are_none(tmp_path):
    found = tables_in(by_class.section(studied(tmp_path, "hue")[0]))["confused"]
    assert [row["images"] for row in found] == sorted((row["images"] for row in found), reverse=True)
    assert all(row["truth"] != row["prediction"] for row in found)


def test_a_table_of_confusion_of_the_version_before_is_read(tmp_path):
    study, _ = studied(tmp_path, "hue")
    card = study.winner.card["confusion"]
    before = with_card(study, confusion=dict(zip(card["classes"], card["counts"], strict=True)))
    assert tables_in(by_class.section(before)) == tables_in(by_class.section(study))


def test_until_test_is_opened_the_numbers_are_of_validation_and_say_so(tmp_path):
    study, said = studied(tmp_path, "hue", is_tested=False)
    section = by_class.section(study)
    recalls = [row["recall"] for row in tables_in(section)["by_class"]]
    own = evaluate_scores("multiclass", said, labels("hue"))
    assert np.mean(recalls) == pytest.approx(own["balanced_accuracy"], abs=1e-6)
    assert "on validation (0000-seed1, which leads so far)" in said_in(section)["classes.ends"]


def test_attributes_are_ranked_by_the_metric_that_selects_and_have_all_their_scores(tmp_path):
    study, _ = studied(tmp_path, "traits")
    section = by_class.section(study)
    found = tables_in(section)["by_attribute"]
    scores = [row["balanced_accuracy"] for row in found]
    assert scores == sorted(scores, reverse=True)
    card = study.winner.card["labels"]
    for row in found:
        assert {name: card[row["attribute"]][name] for name in ("auc", "f1", "support", "ece")}.items() <= row.items()
    assert section.title == "By attribute"


def test_attributes_of_a_version_before_have_the_columns_that_it_wrote(tmp_path):
    study, _ = studied(tmp_path, "traits")
    old = {name: {"accuracy": 0.8, "balanced_accuracy": 0.7, "auc": 0.9} for name in ("hat", "beard")}
    found = tables_in(by_class.section(with_card(study, labels=old)))["by_attribute"]
    assert set(found[0]) == {"attribute", "accuracy", "balanced_accuracy", "auc"}


@pytest.mark.parametrize("task", ["hue", "male", "traits"])
def test_the_calibration_error_is_that_of_the_scores_and_its_diagram_has_intervals(tmp_path, task):
    study, said = studied(tmp_path, task, is_tested=False)
    section = calibration.section(study)
    ece = evaluate_scores(KINDS[task][0], said.astype(np.float32), labels(task))["ece"]
    assert f"off by {ece:.3f} on average" in said_in(section)["calibration.ece"]
    points = charts_in(section)["reliability"].chart.layer[1].data["values"]
    assert all(point["low"] - 1e-9 <= point["came true"] <= point["high"] + 1e-9 for point in points)
    assert sum(point["rows"] for point in points) == answered.ROWS * (2 if task == "traits" else 1)
    assert all("on validation" in chart.caption for chart in charts_in(section).values())


def test_curves_have_the_areas_of_the_scores(tmp_path):
    study, said = studied(tmp_path, "male", is_tested=False)
    found = charts_in(calibration.section(study))
    scores = evaluate_scores("binary", said.astype(np.float32), labels("male"))
    (roc,) = {row["curve"] for row in found["roc"].chart.layer[1].data["values"]}
    (recall,) = {row["curve"] for row in found["precision_recall"].chart.data["values"]}
    assert roc == f"male 1 ({scores['auc']:.3f})"
    assert recall == f"male 1 ({scores['average_precision']:.3f})"


def test_subgroups_say_score_gap_and_its_interval_as_the_scorecard_does(tmp_path):
    study, _ = studied(tmp_path, "male")
    card = study.winner.card["subgroups"]["sex"]
    section = subgroups.section(study)
    rows = {row["group"]: row for row in tables_in(section)["subgroups"]}
    assert rows["f"]["score"] == card["groups"]["f"]["score"]
    assert rows["(unknown)"]["images"] == card["groups"][""]["rows"]
    gap = next(block for block in section.blocks if getattr(block, "id", "").endswith("sex.gap"))
    assert gap.interval == tuple(card["gap_interval"])
    assert f"{card['gap']:.4f}" in gap.text
    assert ("cannot be told" in gap.text) == (card["gap_interval"][0] <= 0)


def test_a_gap_without_interval_says_why_and_one_group_is_no_comparison(tmp_path):
    study, _ = studied(tmp_path, "male")
    card = study.winner.card["subgroups"]
    few = {"sex": {**card["sex"], "gap_interval": None, "gap_why": "too few independent units"}}
    assert "is not known: too few" in said_in(subgroups.section(with_card(study, subgroups=few)))["subgroups.sex.gap"]
    one = {"sex": {"groups": {"f": card["sex"]["groups"]["f"]}, "metric": "balanced_accuracy", "told": []}}
    assert "cannot be compared" in said_in(subgroups.section(with_card(study, subgroups=one)))["subgroups.sex.gap"]
    assert subgroups.section(with_card(study, subgroups={})) is None


def test_without_predictions_the_numbers_of_test_stay_and_a_sentence_says_what_is_lacking(tmp_path):
    study, _ = studied(tmp_path, "male")
    study.folder.record(Stage.FINAL, study.chosen.run).predictions("val").unlink()
    assert tables_in(by_class.section(study))["by_class"]
    assert said_in(calibration.section(study)) == {
        "calibration.lacking": "Calibration and curves cannot be shown: 0000-seed1 has no kept predictions "
        "(predictions-validation.parquet)."
    }


def test_a_study_without_a_run_of_full_budget_has_none_of_these_sections(tmp_path):
    study, _ = studied(tmp_path, "male", is_tested=False)
    for stage in (Stage.SEARCH, Stage.FINAL):
        for record in study.folder.records(stage):
            (record.folder / "outcome.json").unlink()
    begun = StudyOnPage(study.id, RunFolder(study.folder.path), study.manifest)
    assert by_class.section(begun) is None
    assert calibration.section(begun) is None
    assert subgroups.section(begun) is None


@pytest.mark.parametrize("task", KINDS)
def test_the_page_of_each_kind_of_task_has_these_sections_and_is_drawn(tmp_path, task):
    study, _ = studied(tmp_path, task, is_tested=False)
    report = report_of([study.folder.path])
    found = [section.id for part in report.parts for section in part.sections]
    assert {"classes", "calibration", "reconstructions", "mistakes", "doubtful"} <= set(found)
    page = render.html(report)
    assert page.count('class="picture') >= 1 and "data:image/jpeg;base64," in page
    names = [block.name for block in report.blocks if hasattr(block, "name")]
    assert len(names) == len(set(names))
