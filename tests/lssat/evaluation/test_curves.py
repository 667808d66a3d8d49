"""Curves of few points have the area of all points, and lie where those do."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from lssat.evaluation.curves import MOST_POINTS, precision_recall_curves, roc_curves
from lssat.evaluation.predictions import Predictions
from lssat.task import Task

BINARY = Task("t", "binary", ("real", "fake"), (1, 1), 2)
ROUNDING = 1e-12


def area_of_stair(curve):
    return np.sum(np.diff(curve.x) * curve.y[1:])


def of_scores(scores, labels):
    predictions = Predictions(np.asarray(scores, float)[:, None], np.asarray(labels))
    return roc_curves(BINARY, predictions)[0], precision_recall_curves(BINARY, predictions)[0]


def test_four_rows_by_hand():
    """From the top: a fake, a real one, a fake, a real one."""
    roc, stair = of_scores([4, 3, 2, 1], [1, 0, 1, 0])
    assert (roc.name, roc.area) == ("fake", 3 / 4)
    assert list(zip(roc.x, roc.y, strict=True)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert list(zip(stair.x, stair.y, strict=True)) == [(0, 1), (0.5, 1), (1, pytest.approx(2 / 3))]
    assert stair.area == pytest.approx((1 + 2 / 3) / 2)


def cases():
    """Random rankings, and such that go up and down in step with the parts that are thinned."""
    random = np.random.default_rng(0)
    for rows in (10, 150, 400, 450, 3000, 30000):
        for apart in (0, 1, 4):
            for share in (0.02, 0.5, 0.9):
                labels = (random.random(rows) < share).astype(int)
                if 0 < labels.sum() < rows:
                    yield random.normal(size=rows) + apart * labels, labels
    for rows in range(190, 1100, 13):
        for run in (1, 2, 3):
            yield np.arange(rows), (np.arange(rows) // run) % 2
    yield random.integers(0, 3, 1000), random.integers(0, 2, 1000)  # nearly all are ties


def test_few_points_have_the_area_of_all():
    longest = 0
    for scores, labels in cases():
        roc, stair = of_scores(scores, labels)
        assert max(len(roc.x), len(stair.x)) <= MOST_POINTS
        assert roc.area == roc_auc_score(labels, scores) == pytest.approx(auc(roc.x, roc.y), abs=ROUNDING)
        assert stair.area == average_precision_score(labels, scores)
        assert stair.area == pytest.approx(area_of_stair(stair), abs=ROUNDING)
        for curve in (roc, stair):
            assert (curve.x[0], curve.x[-1]) == (0, 1) and (np.diff(curve.x) >= 0).all()
            assert curve.y.min() >= 0 and curve.y.max() <= 1
        assert (np.diff(roc.y) >= 0).all() and (roc.y[0], roc.y[-1]) == (0, 1)
        longest = max(longest, len(labels))
    assert longest == 30000


def test_a_curve_with_few_points_is_kept_as_it_is():
    random = np.random.default_rng(1)
    scores, labels = random.normal(size=80), random.integers(0, 2, 80)
    roc, stair = of_scores(scores, labels)
    x, y, _ = roc_curve(labels, scores)
    assert (roc.x == x).all() and (roc.y == y).all()
    precision, recall, _ = precision_recall_curve(labels, scores)
    points = set(zip(recall, precision, strict=True))
    assert set(zip(stair.x, stair.y, strict=True)) <= points
    assert len(stair.x) == labels.sum() + 1, "a step for each positive row"


def test_few_points_lie_where_all_do():
    """No further from the curve than the part of it between two points that are kept."""
    random = np.random.default_rng(2)
    labels = random.integers(0, 2, 20000)
    scores = random.normal(size=20000) + labels
    roc, stair = of_scores(scores, labels)
    x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.abs(np.interp(x, roc.x, roc.y) - y).max() < 4 / MOST_POINTS
    assert np.abs(np.diff(stair.x)).max() < 2 / MOST_POINTS
    precision, recall, _ = precision_recall_curve(labels, scores)
    exact = np.interp(stair.x[1:] - 0.5 / MOST_POINTS, recall[::-1], precision[::-1])
    assert np.abs(exact - stair.y[1:])[5:].max() < 0.02, "but for the first rows, where precision jumps"


def test_each_class_is_drawn_against_the_others():
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, 500)
    logits = random.normal(size=(500, 4)) + 2 * np.eye(4)[labels]
    found = roc_curves(Task("t", "multiclass", tuple("abcd"), (1,) * 4, 4), Predictions(logits, labels))
    assert [each.name for each in found] == ["a", "b", "c"], "of d there is no row"
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for column, curve in enumerate(found):
        assert curve.area == pytest.approx(roc_auc_score(labels == column, shares[:, column]))


def test_each_attribute_is_drawn_but_those_that_all_have_or_none():
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, (300, 4))
    labels[:, 1], labels[:, 2] = 0, 1
    predictions = Predictions(random.normal(size=(300, 4)), labels)
    asked = Task("t", "multilabel", tuple("abcd"), (1,) * 4, 4)
    for curves in (roc_curves, precision_recall_curves):
        assert [each.name for each in curves(asked, predictions)] == ["a", "d"]
    assert roc_curves(asked, predictions)[1].area == roc_auc_score(labels[:, 3], predictions.logits[:, 3])
