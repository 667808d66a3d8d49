"""Chance against guessers that are simulated: none beats it, and the best of them gets it."""

import numpy as np
import pytest

from lssat.evaluation.metrics import evaluate_scores
from search.claims.chance import chance

REPEATS = 12
SLACK = 0.004  # what a score of so many rows is off in the mean
METRICS = {
    "multiclass": ("accuracy", "balanced_accuracy", "macro_f1"),
    "binary": ("accuracy", "balanced_accuracy", "macro_f1", "auc", "average_precision"),
}
METRICS["multilabel"] = METRICS["binary"]
TASKS = [
    ("multiclass", (500, 500, 500, 500)),
    ("multiclass", (1500, 300, 200)),
    ("multiclass", (1500, 300, 0, 200)),
    ("binary", (1000, 1000)),
    ("binary", (1700, 300)),
    ("binary", (200, 1800)),
    ("multilabel", (100, 1000, 1900)),
]
ROWS = 2000


def labels_of(kind, counts):
    if kind == "multilabel":
        return np.stack([np.arange(ROWS) < count for count in counts], 1).astype(int)
    return np.repeat(np.arange(len(counts)), counts)


def guesses(kind, counts, shares, generator):
    """Logits that say nothing of the row; each class, or each label's positive, is guessed with its share."""
    if kind == "multiclass":
        drawn = generator.choice(len(shares), ROWS, p=shares)
        return 5.0 * np.eye(len(shares))[drawn]
    shares = np.asarray(shares)
    return shares - generator.random((ROWS, len(shares)))  # positive with that share, in random order


def guessers(kind, counts):
    """Shares: as frequent as in the data, uniform, always the same answer, and some between."""
    generator = np.random.default_rng(1)
    if kind == "multiclass":
        num = len(counts)
        frequent = np.array(counts) / ROWS
        mixed = [generator.dirichlet(np.ones(num)) * (frequent > 0) for _ in range(4)]
        return [frequent, *(mix / mix.sum() for mix in mixed), *np.eye(num)[frequent > 0]]
    positives = np.array(counts[1:] if kind == "binary" else counts) / ROWS
    always = (positives > 0.5).astype(float)
    return [positives, np.full(len(positives), 0.5), always, 1 - always, 0.5 * (positives + always)]


@pytest.mark.parametrize(("kind", "counts"), TASKS)
def test_no_guesser_beats_chance_and_the_best_one_gets_it(kind, counts):
    generator, labels = np.random.default_rng(0), labels_of(kind, counts)
    found = []
    for shares in guessers(kind, counts):
        scores = [evaluate_scores(kind, guesses(kind, counts, shares, generator), labels) for _ in range(REPEATS)]
        found.append({metric: [score[metric] for score in scores] for metric in METRICS[kind]})
    for metric in METRICS[kind]:
        means = np.array([np.mean(scores[metric]) for scores in found])
        doubt = SLACK + 4 * np.array([np.std(scores[metric]) / REPEATS**0.5 for scores in found])
        expected = chance(kind, metric, counts, ROWS)
        assert (means - doubt <= expected).all(), metric
        assert (means + doubt >= expected).any(), metric


def test_a_metric_of_which_nothing_is_known_is_refused():
    with pytest.raises(ValueError, match="ece"):
        chance("binary", "ece", (1, 1), 2)
