"""The worst mistakes and the labels that all doubt, beside slow loops."""

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from lssat.evaluation.mistakes import Doubt, Mistake, doubtful_labels, worst_mistakes
from lssat.evaluation.predictions import Predictions

KINDS = ("binary", "multiclass", "multilabel")


def drawn(kind, rows=60, seed=0):
    """Logits are whole numbers, so that many are equally sure."""
    random = np.random.default_rng(seed)
    labels = {
        "binary": random.integers(0, 2, rows),
        "multiclass": random.integers(0, 3, rows),
        "multilabel": random.integers(0, 2, (rows, 4)),
    }[kind]
    columns = {"binary": 1, "multiclass": 3, "multilabel": 4}[kind]
    return Predictions(random.integers(-3, 4, (rows, columns)).astype(np.float32), labels)


def slow_answers(kind, predictions):
    """Row, attribute -> truth, what is predicted, and its probability."""
    found = {}
    for row, (logits, label) in enumerate(zip(predictions.logits.astype(float), predictions.labels, strict=True)):
        if kind == "multiclass":
            shares = softmax(logits).tolist()
            best = logits.tolist().index(max(logits))
            found[row, None] = int(label), best, shares[best]
        for column, value in enumerate(logits if kind != "multiclass" else []):
            positive = expit(value)
            answer = (1, positive) if value > 0 else (0, 1 - positive)
            found[row, column if kind == "multilabel" else None] = int(np.ravel(label)[column]), *answer
    return found


def in_order(found):
    """By confidence, equally sure ones by row and then by attribute."""
    return sorted(found, key=lambda each: (-round(each.confidence, 9), each.row, each.attribute or 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [5, 1000])
def test_the_worst_mistakes_are_those_of_a_slow_loop(kind, most):
    predictions = drawn(kind)
    answers = slow_answers(kind, predictions).items()
    wrong = [Mistake(*place, *answer) for place, answer in answers if answer[0] != answer[1]]
    found = worst_mistakes(kind, predictions, most)
    assert len(found) == min(most, len(wrong))
    for own, slow in zip(found, in_order(wrong)[:most], strict=True):
        assert own[:4] == slow[:4] and own.confidence == pytest.approx(slow.confidence)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("models", [2, 3])
def test_doubtful_labels_are_those_of_a_slow_loop(kind, models):
    first = drawn(kind)
    seeds = [first, *(drawn(kind, seed=seed)._replace(labels=first.labels) for seed in range(1, models))]
    answers = [slow_answers(kind, each) for each in seeds]
    slow = []
    for place, (truth, *_) in answers[0].items():
        said = [each[place][1] for each in answers]
        sure = np.mean([each[place][2] for each in answers])
        if truth not in said and sure >= 0.6:
            slow.append(Doubt(*place, truth, tuple(said), sure))
    found = doubtful_labels(kind, seeds, least_confidence=0.6)
    assert len(found) == len(slow) > 0
    for own, expected in zip(found, in_order(slow), strict=True):
        assert own[:4] == expected[:4] and own.confidence == pytest.approx(expected.confidence)


def test_mistakes_by_hand():
    """Row 0 is right. Rows 1 and 3 are equally wrong, row 2 is the surest; a logit of 0 says no, with 0.5."""
    predictions = Predictions(np.array([[2.0], [-1.0], [3.0], [1.0], [0.0]]), np.array([1, 1, 0, 0, 1]))
    found = worst_mistakes("binary", predictions, 10)
    sure = [pytest.approx(expit(value)) for value in (3, 1, 1, 0)]
    assert found == [
        (2, None, 0, 1, sure[0]),
        (1, None, 1, 0, sure[1]),
        (3, None, 0, 1, sure[2]),
        (4, None, 1, 0, sure[3]),
    ]
    assert worst_mistakes("binary", predictions.of(np.array([0])), 10) == []


def test_doubts_by_hand():
    """Of class 0: all say 1; two say different classes; one is right; all are wrong but unsure."""
    certain, sure, right, unsure = [-9.0, 9.0, -9.0], [-9.0, -9.0, 9.0], [9.0, -9.0, -9.0], [0.0, 0.1, 0.0]
    labels = np.zeros(4, int)
    models = [
        Predictions(np.array([certain, certain, certain, unsure]), labels),
        Predictions(np.array([certain, sure, right, unsure]), labels),
    ]
    found = doubtful_labels("multiclass", models)
    assert [(each.row, each.predicted) for each in found] == [(0, (1, 1)), (1, (1, 2))]


def test_the_mean_confidence_decides_and_the_bound_itself_counts():
    models = [Predictions(np.array([[logit(share)]]), np.array([0])) for share in (0.75, 0.85)]
    (found,) = doubtful_labels("binary", models, least_confidence=0.8 - 1e-12)
    assert found.confidence == pytest.approx(0.8)
    assert doubtful_labels("binary", models, least_confidence=0.8 + 1e-12) == []


@pytest.mark.parametrize("kind", KINDS)
def test_other_orders_of_models_and_rows_find_the_same(kind):
    random, first = np.random.default_rng(3), drawn(kind)
    seeds = [Predictions(random.normal(size=first.logits.shape), first.labels) for _ in range(3)]
    found = doubtful_labels(kind, seeds, least_confidence=0.5)
    turned = doubtful_labels(kind, seeds[::-1], least_confidence=0.5)
    assert [each._replace(predicted=each.predicted[::-1]) for each in turned] == found
    order = random.permutation(len(first.labels))
    moved = doubtful_labels(kind, [each.of(order) for each in seeds], least_confidence=0.5)
    assert [each._replace(row=int(order[each.row])) for each in moved] == found
    worst = worst_mistakes(kind, seeds[0].of(order), 1000)
    assert [each._replace(row=int(order[each.row])) for each in worst] == worst_mistakes(kind, seeds[0], 1000)


def test_one_model_doubts_nothing_and_other_rows_are_refused():
    predictions = drawn("binary")
    assert doubtful_labels("binary", [predictions], 0) == [] == doubtful_labels("binary", [], 0)
    with pytest.raises(ValueError, match="must be of the same rows"):
        doubtful_labels("binary", [predictions, drawn("binary", seed=1)])


def test_no_mistake_is_lost_where_probabilities_are_1():
    """Logits so large that rounding makes each probability 1: rows come in their order."""
    predictions = Predictions(np.full((5, 1), 60.0), np.zeros(5, int))
    assert [each.row for each in worst_mistakes("binary", predictions, 3)] == [0, 1, 2]
    assert worst_mistakes("binary", predictions, 1)[0].confidence == 1


def test_labels_that_were_spoilt_are_the_ones_that_good_models_doubt():
    """Twenty of two thousand labels are wrong; three models see what is true, each with errors of its own."""
    random = np.random.default_rng(4)
    truth, spoilt = random.integers(0, 5, 2000), random.choice(2000, 20, replace=False)
    labels = truth.copy()
    labels[spoilt] = (truth[spoilt] + random.integers(1, 5, 20)) % 5
    seeds = [Predictions(7 * np.eye(5)[truth] + 2 * random.normal(size=(2000, 5)), labels) for _ in range(3)]
    assert all(0.01 < (each.logits.argmax(1) != truth).mean() < 0.05 for each in seeds)
    found = doubtful_labels("multiclass", seeds)
    doubted = {each.row for each in found}
    assert len(doubted & set(spoilt)) >= 17 and len(doubted - set(spoilt)) <= 1
    assert all(each.predicted == (truth[each.row],) * 3 for each in found if len(set(each.predicted)) == 1)
    of_one = {each.row for each in worst_mistakes("multiclass", seeds[0], 1000)}
    assert len(of_one - set(spoilt)) > 20, "the mistakes of one model are mostly its own"
