from __future__ import annotations

import numpy as np
import pytest

from lssat.evaluation.metrics import evaluate_scores
from lssat.task import SCORES


def test_binary_by_hand() -> None:
    logits = np.array([[-2.0], [0.5], [1.0], [3.0], [-0.5]])
    labels = np.array([0, 0, 1, 1, 1])
    scores = evaluate_scores("binary", logits, labels)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # both classes: 2 tp / (2 tp + fp + fn)
    assert scores["auc"] == pytest.approx(5 / 6)  # one of six pairs is the wrong way round


def test_auc_counts_ties_half() -> None:
    assert evaluate_scores("binary", np.zeros((4, 1)), np.array([0, 1, 0, 1]))["auc"] == 0.5


def test_multiclass_by_hand() -> None:
    predictions, labels = np.array([0, 0, 1, 2, 1, 0]), np.array([0, 0, 0, 1, 1, 0])
    scores = evaluate_scores("multiclass", np.eye(4)[predictions], labels)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx(
        (3 / 4 + 1 / 2) / 2
    )  # class 2 is predicted, but not among the labels
    assert scores["macro_f1"] == pytest.approx((6 / 7 + 1 / 2 + 0) / 3)  # class 2 counts; class 3 is nowhere
    assert "auc" not in scores


def test_multilabel_is_the_mean_of_its_labels() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)), rng.integers(0, 2, (50, 3))
    each = [evaluate_scores("binary", logits[:, [k]], labels[:, k]) for k in range(3)]
    for name, value in evaluate_scores("multilabel", logits, labels).items():
        assert value == pytest.approx(np.mean([scores[name] for scores in each]))


@pytest.mark.parametrize("kind", SCORES)
def test_the_default_score_exists(kind: str) -> None:
    labels = np.array([[0, 1], [1, 0]]) if kind == "multilabel" else np.array([0, 1])
    logits = np.array([[1.0], [2.0]]) if kind == "binary" else np.array([[1.0, 2.0], [2.0, 1.0]])
    assert SCORES[kind] in evaluate_scores(kind, logits, labels)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("binary", np.ones(3, dtype=int), "all 3 rows are of class 1"),
        ("multiclass", np.full(3, 2), "all 3 rows are of class 2"),
        ("multilabel", np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), "label 1: all 3 rows are of class 1"),
    ],
)
def test_a_single_class_is_refused_by_name(kind: str, labels: np.ndarray, message: str) -> None:
    logits = np.zeros((3, 1 if kind == "binary" else 3))
    with pytest.raises(ValueError, match=message):
        evaluate_scores(kind, logits, labels)


@pytest.mark.filterwarnings("error")
def test_predicting_one_class_only_is_scored_without_warnings() -> None:
    scores = evaluate_scores("binary", np.full((4, 1), -1.0), np.array([0, 0, 0, 1]))
    assert scores["accuracy"] == 0.75 and scores["balanced_accuracy"] == 0.5
    assert scores["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        evaluate_scores("binary", np.zeros((0, 1)), np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="finite"):
        evaluate_scores("binary", np.array([[np.nan], [1.0]]), np.array([0, 1]))
    with pytest.raises(ValueError, match="binary, multiclass, multilabel"):
        evaluate_scores("ordinal", np.zeros((2, 1)), np.array([0, 1]))
