"""Scores of many draws at once are those of each draw by itself."""

import numpy as np
import pytest

from lssat.evaluation.fairness import worst_group
from lssat.evaluation.metrics import one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.weighted import score_of_draws, worst_group_of_draws

COUNTED = ("accuracy", "balanced_accuracy", "macro_f1")
METRICS = {
    "binary": (*COUNTED, "auc", "average_precision"),
    "multiclass": COUNTED,
    "multilabel": (*COUNTED, "auc", "average_precision"),
}
CASES = [(kind, metric) for kind, metrics in METRICS.items() for metric in metrics]


def drawn(kind, rows=60, seed=0):
    """Predictions of rare classes, with ties, and draws of their rows in which classes go missing."""
    generator = np.random.default_rng(seed)
    if kind == "multiclass":
        labels = generator.choice(4, rows, p=[0.6, 0.33, 0.04, 0.03])
        logits = generator.normal(size=(rows, 5)) + 2 * np.eye(5)[labels]  # the last class never occurs
    else:
        labels = (generator.random((rows, 3)) < [0.5, 0.3, 0.06]).astype(int)
        logits = np.round(2 * generator.normal(size=(rows, 3)) + labels) / 2
        if kind == "binary":
            labels, logits = labels[:, 1], logits[:, 1:2]
    times = generator.multinomial(rows, np.full(rows, 1 / rows), 15).astype(float)
    times[0, labels.reshape(rows, -1)[:, 0] > 0] = 0  # one class, or a label that nobody has
    return Predictions(logits.astype(np.float32), labels), times


def one_by_one(times, score):
    """The slow reference: the rows of each draw, written out."""
    found = []
    for counts in times:
        try:
            found.append(score(np.repeat(np.arange(len(counts)), counts.astype(int))))
        except ValueError:
            found.append(np.nan)
    return np.array(found)


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_scores_of_draws_are_those_of_each_by_itself(kind, metric):
    predictions, times = drawn(kind)
    expected = one_by_one(times, lambda rows: one_score(kind, metric, *predictions.of(rows)))
    assert np.isnan(expected).any() and np.isfinite(expected).any(), "or the case shows too little"
    found = score_of_draws(kind, metric, predictions)(times)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_the_worst_group_of_draws_is_that_of_each_by_itself(kind, metric):
    """With a group that is seldom large enough, and a column that is of no use."""
    predictions, times = drawn(kind)
    generator = np.random.default_rng(1)
    groups = {
        "size": generator.choice(["large", "small", "tiny"], 60, p=[0.6, 0.24, 0.16]),
        "alike": np.full(60, "same"),
        "sex": generator.choice(["f", "m"], 60),
    }
    of_columns = [{name: groups[name]} for name in groups]
    for columns in [groups, *of_columns]:
        expected = one_by_one(
            times,
            lambda rows, columns=columns: worst_group(
                kind, metric, predictions.of(rows), {name: words[rows] for name, words in columns.items()}
            )["worst_group"],
        )
        found = worst_group_of_draws(kind, metric, predictions, columns)(times)
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True), list(columns)


def test_a_score_is_that_of_all_rows_where_each_counts_once():
    predictions, _ = drawn("binary")
    once = np.ones((1, 60))
    assert score_of_draws("binary", "auc", predictions)(once)[0] == pytest.approx(
        one_score("binary", "auc", *predictions), abs=1e-15
    )
