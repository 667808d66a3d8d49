"""Scores by video and subgroup against slow or independent computations."""

import json

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, roc_curve

from lssat.evaluation import uncertainty
from lssat.evaluation.fairness import by_subgroup, worst_group
from lssat.evaluation.metrics import calibration_error, confusion, equal_error_rate, evaluate_scores, one_score
from lssat.evaluation.odds import equalised_odds
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import independent, scorecard, shown
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
    labels = np.tile([0, 1], 250)
    groups = np.array(["f"] * 250 + ["m"] * 245 + ["x"] * 5)
    logits = np.where(labels == 1, 1.0, -1.0)[:, None]
    logits[:20] *= -1
    logits[250:350] *= -1  # of the men's 245 rows, 100 are wrong
    found = by_subgroup("binary", "accuracy", Predictions(logits, labels), groups, np.arange(500).astype(str))
    assert found["unscored"] == ["x"]
    assert (found["worst_group"], found["best_group"], found["groups"]["f"]["score"]) == ("m", "f", 230 / 250)
    assert found["gap"] == pytest.approx(230 / 250 - 145 / 245)
    low, high = found["gap_interval"]
    assert 0 < low < found["gap"] < high and found["told"] == [["f", "m"]]
    spread = np.sqrt(0.92 * 0.08 / 250 + (145 / 245) * (100 / 245) / 245)
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    odds = found["equalised_odds_of"]
    rates = [(logits[groups == name, 0][labels[groups == name] == true] > 0).mean() for true in (1, 0) for name in "fm"]
    assert found["equalised_odds"] == pytest.approx(max(abs(rates[0] - rates[1]), abs(rates[2] - rates[3])))
    assert odds["interval"][0] < found["equalised_odds"] < odds["interval"][1]
    is_true = odds["rate"] == "true positives"
    assert (odds["high"], odds["low"]) == (("f", "m") if is_true else ("m", "f"))


def test_groups_that_are_the_same_have_a_gap_and_odds_of_nothing() -> None:
    rows = np.arange(100)
    labels, logits = np.tile([0, 1], 100), np.tile([-1.0, 1.0, 1.0, 1.0], 50)[:, None]
    groups = np.repeat(["a", "b"], 100)
    found = by_subgroup("binary", "accuracy", Predictions(logits, labels), groups, np.arange(200).astype(str))
    assert (found["gap"], found["equalised_odds"], found["told"]) == (0, 0, [])
    low, high = found["gap_interval"]
    assert low == -high and high > 0
    assert equalised_odds("binary", Predictions(logits, labels), {"a": rows}, groups) is None


def equal_groups(random: np.random.Generator, number: int = 3) -> tuple[Predictions, np.ndarray, np.ndarray]:
    """400 units in each group, three rows each that are alike, whose scores differ by luck alone."""
    person = np.repeat(np.arange(400 * number), 3)
    labels = np.repeat(random.integers(0, 2, 400 * number), 3)
    is_right = np.repeat(random.random(400 * number) < 0.7, 3)
    logits = np.where((labels == 1) == is_right, 1.0, -1.0)[:, None]
    return Predictions(logits, labels), np.char.add("g", (person // 400).astype(str)), person.astype(str)


@pytest.mark.slow
def test_equal_groups_are_told_apart_in_one_sample_of_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though best and worst are picked of three after the fact, and equalised odds of all rates."""
    monkeypatch.setattr(uncertainty, "RESAMPLES", 250)
    random, samples = np.random.default_rng(5), 300
    told = told_odds = 0
    for _ in range(samples):
        predictions, groups, units = equal_groups(random)
        found = by_subgroup("binary", "accuracy", predictions, groups, units)
        told += found["gap_interval"][0] > 0
        told_odds += found["equalised_odds_of"]["interval"][0] > 0
        assert bool(found["told"]) >= (found["gap_interval"][0] > 0)
    assert binomtest(told, samples, 0.05).pvalue > 0.001, told
    assert told_odds <= 0.05 * samples + 3 * np.sqrt(0.05 * 0.95 * samples), told_odds


def test_few_units_have_no_interval_but_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows they have: a person, two videos."""
    logits, labels = drawn("binary", 600)
    groups, unknown = np.array(["a"] * 300 + ["b"] * 300), np.full(600, "")
    person = np.array([f"row {row}" for row in range(300)] + ["one person"] * 300)
    found = by_subgroup("binary", "accuracy", Predictions(logits, labels), groups, person)
    assert found["gap"] > 0 and found["gap_interval"] is None
    assert found["gap_why"] == "too few independent units (1 in b; an interval takes 100 in each group)"
    assert found["equalised_odds_of"]["interval"] is None and "(1; an" in found["equalised_odds_of"]["why"]
    task = Task("t", "binary", ("n", "y"), (300, 300), 600)
    for metric in ("accuracy", "worst_group"):
        texts = RowTexts(person if metric == "worst_group" else unknown, np.repeat(["v", "w"], 300), {"g": groups})
        card = scorecard(task, metric, Predictions(logits, labels), {}, texts)
        assert card["interval"] is None and "too few independent units" in card["interval_why"]
        lines = shown(card).splitlines()
        assert "no interval: too few independent units (" in lines[0] and "nan" not in shown(card)
        assert f"by g, {'balanced_accuracy' if metric == 'worst_group' else 'accuracy'}: a " in shown(card)
        json.dumps(card, allow_nan=False)


def test_the_worst_group_is_resampled_as_it_was_named() -> None:
    """The lowest of equal groups is lower in every resample; the interval is around the one that was lowest."""
    predictions, groups, units = equal_groups(np.random.default_rng(1), number=6)
    unknown = np.full(len(units), "")
    card = scorecard(
        Task("t", "binary", ("n", "y"), (1, 1), 2),
        "worst_group",
        predictions,
        {},
        RowTexts(units, unknown, {"g": groups}),
    )
    low, high = card["interval"]
    assert (low + high) / 2 == pytest.approx(card["score"])
    assert low < 0.7 < high, "what is true of all six"
    assert shown(card).startswith("worst_group by balanced_accuracy 0.")


def test_what_is_shown_of_subgroups() -> None:
    labels = np.tile([0, 1], 300)
    groups = np.repeat(["f", "m"], 300)
    random = np.random.default_rng(0)
    logits = np.where((labels == 1) == (random.random(600) < 0.8), 1.0, -1.0)[:, None]
    nobody = np.full(600, "")
    task = Task("t", "binary", ("n", "y"), (1, 1), 2)
    text = shown(
        scorecard(task, "accuracy", Predictions(logits, labels), {}, RowTexts(nobody, nobody, {"sex": groups}))
    )
    assert "by sex, accuracy: f 0." in text and ", cannot be told from 0" in text
    assert "positives of y, " in text
    logits[:200] = np.where(labels[:200] == 1, -1.0, 1.0)[:, None]
    text = shown(
        scorecard(task, "accuracy", Predictions(logits, labels), {}, RowTexts(nobody, nobody, {"sex": groups}))
    )
    assert "worst f, best m, gap 0." in text and "cannot be told" not in text


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
