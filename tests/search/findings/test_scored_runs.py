"""Runs as they are read from kept predictions: alike, of these rows and of the score on record, or said not to be."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from lssat.evaluation.fairness import worst_group
from lssat.evaluation.metrics import one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts, of_videos
from search.claims.estimate import estimate
from search.findings.scored_runs import StageRuns, scored_runs
from search.planted.files import write_study
from search.planted.studies import Plant, draw_answers
from search.record.folder import RunFolder, Stage
from search.record.predictions import About, KeptPredictions, read, write
from tests.search.records import epoch, record

PLANT = Plant(arms=2, seeds=2, units=200)
RUN = "0001-seed0"


@pytest.fixture
def study(tmp_path):
    """The folder of four finals, and which they are."""
    folder = RunFolder(tmp_path / "s")
    return folder, write_study(folder, draw_answers(PLANT, np.random.default_rng(0)))


def runs_of(study):
    return scored_runs(study[0], Stage.FINAL, study[1])


def path_of(study, name=RUN):
    return study[0].record(Stage.FINAL, name).predictions("val")


def test_the_covariance_is_that_of_a_mean_where_the_score_is_one(study):
    """Balanced accuracy of a class is a mean over its rows: its variance has a formula."""
    found = runs_of(study)
    assert (found.arms, found.seeds, found.units, found.lacking) == (
        ("arm 00", "arm 00", "arm 01", "arm 01"),
        (0, 1, 0, 1),
        PLANT.units,
        "",
    )
    right = []
    for name in study[1]:
        logits, labels = read(path_of(study, name)).predictions
        right.append((logits[:, 0] > 0) == labels)
    each = [np.array(right)[:, labels == label].astype(float) for label in (0, 1)]
    expected = sum(np.cov(of_class) / of_class.shape[1] / 4 for of_class in each)
    assert found.covariance == pytest.approx(expected, rel=0.2, abs=1e-5)


def test_runs_that_are_not_complete_are_left_out(study):
    (study[0].record(Stage.FINAL, RUN).folder / "outcome.json").unlink()
    found = runs_of(study)
    assert len(found.arms) == 3 and not found.lacking
    with pytest.raises(ValueError, match="none of the 1 asked for is"):
        scored_runs(study[0], Stage.FINAL, {RUN: ("a", 0)})


def rewritten(change):
    def apply(path):
        write(path, change(read(path)))

    return apply


def without_a_row(kept):
    (logits, labels), texts = kept.predictions, kept.texts
    rows = np.arange(len(labels) - 1)
    return KeptPredictions(kept.about, Predictions(logits[rows], labels[rows]), texts.of(rows))


def of_other_labels(kept):
    logits, labels = kept.predictions
    return replace(kept, predictions=Predictions(logits, labels[::-1]))


def of_other_logits(kept):
    logits, labels = kept.predictions
    return replace(kept, predictions=Predictions(-logits, labels))


def of_others(**changes):
    return rewritten(lambda kept: replace(kept, about=replace(kept.about, **changes)))


HARMS = {
    "missing": (lambda path: path.unlink(), rf"{RUN} has no kept predictions \(predictions-validation\.parquet\)"),
    "cut": (
        lambda path: path.write_bytes(path.read_bytes()[:99]),
        f"the predictions of {RUN} .* are damaged or of another version",
    ),
    "another metric": (of_others(metric="auc"), f"{RUN} was scored by auc, but 0000-seed0 by balanced_accuracy"),
    "other data": (of_others(data="others"), f"{RUN} has predictions of other validation rows or labels"),
    "fewer rows": (rewritten(without_a_row), f"{RUN} has predictions of other validation rows or labels"),
    "other labels": (rewritten(of_other_labels), f"{RUN} has predictions of other validation rows or labels"),
    "of another run": (rewritten(of_other_logits), f"the predictions of {RUN} give 0.* but its score on record is 0"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_predictions_that_do_not_fit_are_named_and_the_scores_stay(study, harm):
    whole = runs_of(study)
    apply, words = HARMS[harm]
    apply(path_of(study))
    found = runs_of(study)
    assert found.scores == pytest.approx(whole.scores, abs=1e-9) and found.units == 0
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(found.lacking)
    assert estimate(found).trouble == found.lacking
    assert np.isfinite(estimate(found).means).all()


def written(folder, metric, kind, each, texts):
    """Finals with these predictions and the scores that they give, by the slow way."""
    runs = {}
    for number, predictions in enumerate(each):
        name, task = f"000{number // 2}-seed{number % 2}", "deepfake" if texts.has_videos else "t"
        units, known = predictions, texts
        if texts.has_videos:
            units, known = of_videos(predictions, texts, metric == "worst_group")
        if metric == "worst_group":
            score = worst_group(kind, "auc" if texts.has_videos else "balanced_accuracy", units, known.groups)[metric]
        else:
            score = one_score(kind, metric, *units)
        made = record(folder.path / "finals" / name, {"optim.epochs": 4}, [epoch(4, score)], "complete")
        classes = tuple("abcdefgh"[: max(2, predictions.logits.shape[1])])
        about = About(task, kind, classes, metric, "val", "")
        write(made.predictions("val"), KeptPredictions(about, predictions, texts))
        runs[name] = (f"arm {number // 2}", number % 2)
    return runs


def drawn(kind, rows=240):
    """Four runs on one set of labels."""
    generator = np.random.default_rng(0)
    labels = {
        "binary": generator.integers(0, 2, rows),
        "multiclass": generator.integers(0, 3, rows),
        "multilabel": generator.integers(0, 2, (rows, 4)),
    }[kind]
    right = np.eye(3)[labels] if kind == "multiclass" else labels.reshape(rows, -1)
    noise = generator.normal(size=(4, *right.shape))
    return [Predictions((right - 0.5 + 0.7 * each).astype(np.float32), labels) for each in noise]


def texts_of(rows=240, **columns):
    nothing = np.full(rows, "")
    return RowTexts(np.array([f"row {row}" for row in range(rows)]), columns.pop("video", nothing), columns)


METRICS = [
    ("binary", "balanced_accuracy"),
    ("binary", "accuracy"),
    ("binary", "auc"),
    ("binary", "average_precision"),
    ("multiclass", "macro_f1"),
    ("multilabel", "balanced_accuracy"),
    ("multilabel", "auc"),
]


@pytest.mark.parametrize(("kind", "metric"), METRICS)
def test_every_metric_that_can_select_is_found_again(tmp_path, kind, metric):
    folder = RunFolder(tmp_path)
    runs = written(folder, metric, kind, drawn(kind), texts_of())
    found = scored_runs(folder, Stage.FINAL, runs)
    assert (found.lacking, found.units) == ("", 240)
    assert (np.diag(found.covariance) > 0).all()


@pytest.mark.parametrize("metric", ["auc", "worst_group"])
def test_frames_of_a_video_are_one_unit(tmp_path, metric):
    """Where frames of one video are of several subgroups, the worst group has several units of that video."""
    generator = np.random.default_rng(1)
    each = drawn("binary")
    labels = np.repeat(each[0].labels[:60], 4)
    each = [Predictions(logits, labels) for logits, _ in each]
    video = np.repeat([f"v{number}" for number in range(60)], 4)
    texts = RowTexts(video, video, {"Male": generator.choice(["0", "1"], 240)})
    folder = RunFolder(tmp_path)
    found = scored_runs(folder, Stage.FINAL, written(folder, metric, "binary", each, texts))
    assert (found.lacking, found.units) == ("", 60)
    assert "too few validation units (60; it takes 100)" in estimate(found).trouble


def test_the_worst_group_is_found_again(tmp_path):
    generator = np.random.default_rng(1)
    groups = {"Male": generator.choice(["0", "1"], 240), "Age": generator.choice(["a", "b", "c"], 240)}
    folder = RunFolder(tmp_path)
    runs = written(folder, "worst_group", "binary", drawn("binary"), texts_of(**groups))
    found = scored_runs(folder, Stage.FINAL, runs)
    assert (found.lacking, found.units) == ("", 240)


def test_one_unit_and_too_few_of_a_class_are_said(tmp_path):
    one = RunFolder(tmp_path / "one")
    texts = RowTexts(np.full(240, "she"), np.full(240, ""), {})
    found = scored_runs(one, Stage.FINAL, written(one, "auc", "binary", drawn("binary"), texts))
    assert "too few validation units (1; it takes 100)" in estimate(found).trouble
    rare = RunFolder(tmp_path / "rare")
    labels = (np.arange(240) == 7).astype(int)
    person = RowTexts(np.repeat([f"p{number}" for number in range(120)], 2), np.full(240, ""), {})
    each = [Predictions(logits, labels) for logits, _ in drawn("binary")]
    found = scored_runs(rare, Stage.FINAL, written(rare, "auc", "binary", each, person))
    assert found.units == 120 and not found.lacking, "a draw in three lacks the one person"
    of_few = RunFolder(tmp_path / "few")
    labels = np.eye(240, 2, dtype=int)[:, ::-1]
    each = [Predictions(np.hstack([logits, logits]), labels) for logits, _ in drawn("binary")]
    found = scored_runs(of_few, Stage.FINAL, written(of_few, "auc", "multilabel", each, texts_of()))
    assert "too few units of some class" in found.lacking and found.units == 0


def test_a_file_without_rows_of_its_own_is_no_study(study):
    pq.write_table(pq.ParquetFile(path_of(study)).read()[:0], path_of(study))
    assert f"the predictions of {RUN}" in runs_of(study).lacking


def test_runs_that_are_read_once_give_each_comparison_what_it_reads_itself(study):
    folder, arms = study
    once = StageRuns(folder, Stage.FINAL)
    for names in (arms, [name for name in arms if name.endswith("seed0")], [RUN]):
        wanted = {name: ("renamed " + arms[name][0], arms[name][1]) for name in names}
        found, expected = once.of(wanted), scored_runs(folder, Stage.FINAL, wanted)
        assert (found.arms, found.seeds, found.units, found.lacking) == (expected.arms, expected.seeds, PLANT.units, "")
        assert found.scores == pytest.approx(expected.scores)
        assert found.covariance == pytest.approx(expected.covariance)


def test_predictions_that_one_run_lacks_keep_nothing_from_a_comparison_of_others(study):
    path_of(study).unlink()
    once = StageRuns(study[0], Stage.FINAL)
    others = {name: arm for name, arm in study[1].items() if name != RUN}
    assert not once.of(others).lacking and RUN in once.of(study[1]).lacking
    with pytest.raises(ValueError, match="none of the 1 asked for is"):
        once.of({"0009-seed0": ("a", 0)})
