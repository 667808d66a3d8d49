"""Scores by video and subgroup against slow or independent computations."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import confusion_matrix, roc_curve

from lssat.evaluation.fairness import by_subgroup, equalised_odds, worst_group
from lssat.evaluation.metrics import calibration_error, confusion, equal_error_rate, evaluate_scores, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import independent, scorecard
from lssat.evaluation.uncertainty import bootstrap
from lssat.evaluation.units import RowTexts, of_videos
from lssat.task import Task

RNG = np.random.default_rng(0)


def drawn(kind: str, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    if kind == "multiclass":
        return RNG.normal(size=(rows, 4)), RNG.integers(0, 4, rows)
    columns = 1 if kind == "binary" else 5
    labels = RNG.integers(0, 2, (rows, columns))
    return RNG.normal(size=(rows, columns)) + labels, labels[:, 0] if kind == "binary" else labels


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "ece"])
def test_the_quick_score_is_that_of_scikit_learn(kind: str, metric: str) -> None:
    logits, labels = drawn(kind)
    assert one_score(kind, metric, logits, labels) == pytest.approx(
        evaluate_scores(kind, logits, labels)[metric], abs=1e-12
    )


def test_confusion_is_scikit_learns() -> None:
    logits, labels = drawn("multiclass")
    assert (confusion(logits, labels) == confusion_matrix(labels, logits.argmax(1))).all()


def test_equal_error_rate_is_where_the_curve_meets_the_diagonal() -> None:
    for _ in range(20):
        logits, labels = drawn("binary", 61)
        false_positive, true_positive, _ = roc_curve(labels, logits[:, 0])
        curve = interp1d(false_positive, true_positive)
        root = brentq(lambda x, curve=curve: 1 - x - curve(x), 0, 1)
        assert equal_error_rate(labels, logits[:, 0]) == pytest.approx(root, abs=0.02)
    assert equal_error_rate(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])) == 0
    assert equal_error_rate(np.array([1, 1, 0, 0]), np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert equal_error_rate(np.array([0, 1]), np.array([0.0, 0.0])) == pytest.approx(0.5)


def test_calibration_error_by_hand() -> None:
    assert calibration_error(np.array([0.9, 0.9, 0.1, 1.0]), np.array([1, 0, 0, 1])) == pytest.approx(
        (2 * 0.4 + 0.1 + 0) / 4
    )


def by_video(logits: np.ndarray, labels: np.ndarray, videos: np.ndarray) -> dict[str, float]:
    predictions = Predictions(logits[:, None], labels)
    found, _ = of_videos(predictions, RowTexts(np.full(len(videos), ""), videos, {}))
    return {"videos": len(found.labels), **evaluate_scores("binary", *found)}


def test_videos_are_scored_by_the_mean_probability_of_their_frames() -> None:
    logits = np.array([4.0, -1.0, -2.0, -3.0, 0.5])
    videos, labels = np.array(["b", "b", "a", "a", "c"]), np.array([1, 1, 0, 0, 0])
    scores = by_video(logits, labels, videos)
    assert scores["videos"] == 3
    assert scores["accuracy"] == pytest.approx(
        2 / 3
    )  # b: mean of 0.98 and 0.27 is above one half; c is taken for a fake
    assert scores["auc"] == 1.0 if (0.982 + 0.269) / 2 > 0.622 else 0.5


def test_rows_without_a_video_are_scored_alone() -> None:
    """Real stills and fake ones, which as one video would have one label."""
    logits, labels = np.array([-3.0, 2.0, 1.0, 2.0]), np.array([0, 1, 0, 0])
    scores = by_video(logits, labels, np.array(["", "", "v", "v"]))
    assert scores["videos"] == 3
    expected = evaluate_scores("binary", np.array([[-3.0], [2.0], [1.01]]), np.array([0, 1, 0]))
    assert (scores["accuracy"], scores["auc"]) == pytest.approx((expected["accuracy"], expected["auc"]))


def test_unequal_groups_are_seen_and_small_ones_left_out() -> None:
    labels = np.tile([0, 1], 100)
    groups = np.array(["f"] * 100 + ["m"] * 95 + ["x"] * 5)
    logits = np.where(labels == 1, 1.0, -1.0)[:, None]
    logits[100:150] *= -1  # of the men's 95 first rows, 50 are wrong
    found = by_subgroup("binary", "accuracy", Predictions(logits, labels), groups, np.arange(200).astype(str))
    assert found["unscored"] == ["x"]
    assert (found["worst_group"], found["groups"]["f"]["score"]) == ("m", 1.0)
    assert found["gap"] == pytest.approx(50 / 95)
    low, high = found["gap_interval"]
    assert low < found["gap"] < high
    rates = [np.flatnonzero(groups == name) for name in "fm"]
    true_positive = 1 - (logits[rates[1], 0][labels[rates[1]] == 1] > 0).mean()
    assert found["equalised_odds"] == pytest.approx(
        max(true_positive, (logits[rates[1], 0][labels[rates[1]] == 0] > 0).mean())
    )
    assert equalised_odds("binary", Predictions(logits, labels), [rates[0], rates[0]]) == 0


def test_a_small_group_is_missing_from_some_resamples_which_do_not_count() -> None:
    """Of 12 rows a resample often holds fewer than the 10 that are scored; of 10 rows of one person, sometimes none."""
    logits, labels = drawn("binary", 60)
    groups, unknown = np.array(["a"] * 48 + ["b"] * 12), np.full(60, "")
    texts = RowTexts(unknown, unknown, {"g": groups})
    task = Task("t", "binary", ("n", "y"), (30, 30), 60)
    card = scorecard(task, "worst_group", Predictions(logits, labels), {}, texts)
    low, high = card["interval"]
    assert 0 <= low < high <= 1 and low <= card["score"] <= high

    labels = np.tile([0, 1], 30)
    logits = np.where((labels == 1) ^ (groups == "b"), 1.0, -1.0)[:, None]
    person = np.array([f"row {row}" for row in range(48)] + ["one person"] * 12)
    found = by_subgroup("binary", "accuracy", Predictions(logits, labels), groups, person)
    assert found["gap"] == 1 and found["gap_interval"] == (1, 1), "a is always right, b never"


def test_a_label_that_is_the_group_itself_is_left_out() -> None:
    logits, labels = drawn("multilabel")
    groups = labels[:, 2].astype(str)
    units = np.arange(300).astype(str)
    found = by_subgroup("multilabel", "balanced_accuracy", Predictions(logits, labels), groups, units)
    assert found["labels_left_out"] == [2]
    others = [0, 1, 3, 4]
    of_one = evaluate_scores("multilabel", logits[groups == "1"][:, others], labels[groups == "1"][:, others])
    assert found["groups"]["1"]["score"] == pytest.approx(of_one["balanced_accuracy"])


def test_correlated_rows_widen_the_interval() -> None:
    person = np.repeat(np.arange(40), 25)
    right = np.repeat(RNG.random(40) < 0.7, 25)
    by_row = bootstrap(np.arange(1000), lambda rows: float(right[rows].mean()))
    by_person = bootstrap(person, lambda rows: float(right[rows].mean()))
    spread = np.sqrt(0.7 * 0.3 / 40) * 2 * 1.96
    assert by_person[1] - by_person[0] == pytest.approx(spread, rel=0.25)
    assert by_person[1] - by_person[0] > 3 * (by_row[1] - by_row[0])


def test_rows_are_resampled_by_person_or_else_by_video() -> None:
    identity, video = np.array(["a", "", ""]), np.array(["v", "w", ""])
    assert independent(RowTexts(identity, video, {})).tolist() == ["a", "w", "row 2"]


def test_worst_group_over_all_columns_whatever_the_order_of_rows() -> None:
    logits, labels = drawn("binary")
    groups = {"a": RNG.choice(["x", "y"], 300), "b": RNG.choice(["u", "v", "w"], 300)}
    each = [
        [one_score("binary", "accuracy", logits[texts == name], labels[texts == name]) for name in np.unique(texts)]
        for texts in groups.values()
    ]
    found = worst_group("binary", "accuracy", Predictions(logits, labels), groups)
    assert found == {"worst_group": min(map(min, each)), "gap": max(max(scores) - min(scores) for scores in each)}
    order = RNG.permutation(300)
    shuffled = {name: texts[order] for name, texts in groups.items()}
    assert worst_group("binary", "accuracy", Predictions(logits, labels).of(order), shuffled) == found
