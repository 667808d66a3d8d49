"""Bins of probabilities: by hand, with Wilson's interval, and as the calibration error has them."""

import json

import numpy as np
import pytest
from scipy.special import logit

from lssat.evaluation.metrics import BINS, calibration_error, evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.reliability import reliability
from lssat.task import Task

TASKS = {
    "binary": Task("t", "binary", ("real", "fake"), (1, 1), 2),
    "multiclass": Task("t", "multiclass", tuple("abcd"), (1,) * 4, 4),
    "multilabel": Task("t", "multilabel", tuple("abc"), (1,) * 3, 3),
}


def drawn(kind, rows=700, seed=0):
    random = np.random.default_rng(seed)
    if kind == "multiclass":
        return Predictions(2 * random.normal(size=(rows, 4)).astype(np.float32), random.integers(0, 4, rows))
    columns = 1 if kind == "binary" else 3
    labels = random.integers(0, 2, (rows, columns))
    logits = (3 * random.normal(size=(rows, columns))).astype(np.float32)
    return Predictions(logits, labels[:, 0] if kind == "binary" else labels)


def test_a_table_by_hand():
    """Four rows at 0.9, of which three are fake, one at 0.1 that is not, one that is certain and right."""
    probability = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 1 - 1e-12])
    labels = np.array([1, 1, 1, 0, 0, 1])
    (found,) = reliability(TASKS["binary"], Predictions(logit(probability)[:, None], labels))
    assert found.name == "fake" and len(found.bins) == BINS == 15
    assert [(each.rows, each.probability, each.frequency) for each in found.bins if each.rows] == [
        (1, pytest.approx(0.1), 0),
        (4, pytest.approx(0.9), 3 / 4),
        (1, pytest.approx(1), 1),
    ]
    assert found.bins[1].interval == pytest.approx((0, 0.7935), abs=1e-4)
    assert found.bins[13].low == 13 / 15 and found.bins[13].interval == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert found.bins[5] == (5 / 15, 6 / 15, 0, None, None, None)
    assert found.ece == pytest.approx((4 * 0.15 + 0.1 + 0) / 6)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("rows", [30, 700])
def test_the_bins_give_the_calibration_error_that_is_told(kind, rows):
    predictions = drawn(kind, rows)
    found = reliability(TASKS[kind], predictions)
    assert [each.name for each in found] == {
        "binary": ["fake"],
        "multiclass": ["predicted class"],
        "multilabel": ["a", "b", "c"],
    }[kind]
    for event in found:
        assert sum(each.rows for each in event.bins) == rows
        gaps = [each.rows * abs(each.probability - each.frequency) for each in event.bins if each.rows]
        assert event.ece == pytest.approx(sum(gaps) / rows, abs=1e-12)
        for each in event.bins:
            if each.rows:
                assert each.low <= each.probability <= each.high
                assert each.interval[0] <= each.frequency <= each.interval[1]
    assert np.mean([each.ece for each in found]) == evaluate_scores(kind, *predictions)["ece"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("kind", TASKS)
def test_bins_are_those_of_a_slow_loop(kind):
    predictions = drawn(kind, 200, seed=1)
    for column, event in enumerate(reliability(TASKS[kind], predictions)):
        told = [[] for _ in range(BINS)]
        for scores, label in zip(predictions.logits.astype(float), predictions.labels, strict=True):
            if kind == "multiclass":
                shares = np.exp(scores) / np.exp(scores).sum()
                probability, happened = max(shares), int(np.argmax(scores)) == label
            else:
                probability, happened = 1 / (1 + np.exp(-scores[column])), np.ravel(label)[column] == 1
            told[min(int(probability * BINS), BINS - 1)].append((probability, happened))
        for own, slow in zip(event.bins, told, strict=True):
            assert own.rows == len(slow)
            if slow:
                assert (own.probability, own.frequency) == pytest.approx(tuple(np.mean(slow, axis=0)))


def test_the_order_of_rows_changes_nothing():
    predictions = drawn("multiclass")
    order = np.random.default_rng(0).permutation(700)
    (found,), (moved,) = (reliability(TASKS["multiclass"], each) for each in (predictions, predictions.of(order)))
    assert [each.rows for each in found.bins] == [each.rows for each in moved.bins]
    assert [each.interval for each in found.bins] == [each.interval for each in moved.bins]
    assert moved.ece == pytest.approx(found.ece, abs=1e-12)


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error():
    """Of ten rows at each of five probabilities as many happen as they say."""
    probability = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    happened = np.tile(np.arange(10), 5) < probability * 10 - 1e-9
    (found,) = reliability(TASKS["binary"], Predictions(logit(probability)[:, None], happened.astype(int)))
    assert found.ece == pytest.approx(0, abs=1e-12) == calibration_error(probability, happened)
