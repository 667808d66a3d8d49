"""Tables by class and by attribute: by hand, as scikit-learn has them, and where a score is undefined."""

import json

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from lssat.evaluation.classes import (
    Confusion,
    confusion_by_attribute,
    confusion_of,
    tables_by_class,
)
from lssat.evaluation.metrics import evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.task import Task

SCORES = ("precision", "recall", "f1")


def task(kind, *classes):
    return Task("t", kind, classes, (1,) * len(classes), len(classes))


def tables(asked, predictions):
    nothing = np.full(len(predictions.labels), "")
    return tables_by_class(asked, predictions, RowTexts(nothing, nothing, {}))


def of_classes(predicted, truth, classes):
    return Predictions(np.eye(classes)[predicted], np.array(truth))


def attributes(count, rows=500, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random((rows, count)) < random.uniform(0.02, 0.9, count)).astype(int)
    names = [f"attribute {column}" for column in range(count)]
    return task("multilabel", *names), Predictions(random.normal(size=labels.shape) + labels - 0.5, labels)


def test_three_classes_by_hand():
    """Two a's, of which one is taken for b; one b; one c, taken for b; d is nowhere."""
    predictions = of_classes([0, 1, 1, 1], [0, 0, 1, 2], 4)
    found = confusion_of(task("multiclass", *"abcd"), predictions)
    assert found.counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    scores = found.scores()
    assert scores["a"] == (1, 1 / 2, pytest.approx(2 / 3), 2, 1)
    assert scores["b"] == (pytest.approx(1 / 3), 1, 1 / 2, 1, 3)
    assert scores["c"] == (None, 0, 0, 1, 0), "it is never predicted, so that no prediction of it can be right"
    assert scores["d"] == (None, None, None, 0, 0)


def test_a_class_that_is_predicted_but_nowhere_true_has_no_recall():
    scores = confusion_of(task("multiclass", *"ab"), of_classes([0, 1], [0, 0], 2)).scores()
    assert scores["b"] == (0, None, 0, 0, 1)


def test_an_attribute_by_hand():
    """Of the four rows three have it, and of these two are found."""
    predictions = Predictions(np.array([[1.0], [2.0], [-1.0], [3.0]]), np.array([[1], [1], [1], [0]]))
    asked = task("multilabel", "Male")
    found = confusion_by_attribute(asked, predictions)["Male"]
    assert found.classes == ("not Male", "Male") and found.counts.tolist() == [[0, 1], [1, 2]]
    assert found.scores()["Male"] == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3, 3))


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_scikit_learn_undefined_ones_too(seed):
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 9))
    predicted, truth = random.integers(0, classes, (2, int(random.integers(1, 30))))
    names = [str(each) for each in range(classes)]
    if classes == 2 and seed % 2:
        asked, predictions = task("binary", *names), Predictions(predicted[:, None] - 0.5, truth)
    else:
        asked, predictions = task("multiclass", *names), of_classes(predicted, truth, classes)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(classes), zero_division=np.nan)
    found = list(confusion_of(asked, predictions).scores().values())
    for name, values in zip((*SCORES, "support"), expected, strict=True):
        own = np.array([getattr(each, name) for each in found], float)
        np.testing.assert_allclose(own, values, err_msg=name)
    assert [each.predicted for each in found] == np.bincount(predicted, minlength=classes).tolist()


def test_forty_attributes_are_those_of_scikit_learn():
    asked, predictions = attributes(40)
    found = {name: of.scores()[name] for name, of in confusion_by_attribute(asked, predictions).items()}
    expected = precision_recall_fscore_support(predictions.labels, predictions.logits > 0, zero_division=np.nan)
    for index, name in enumerate((*SCORES, "support")):
        np.testing.assert_allclose([getattr(scores, name) for scores in found.values()], expected[index])
    assert list(found) == list(asked.classes)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_means_over_classes_are_the_scores_of_the_task(kind):
    random = np.random.default_rng(1)
    classes = 2 if kind == "binary" else 6
    labels = random.integers(0, classes - (kind == "multiclass"), 200)  # of the last of six nothing is
    logits = random.normal(size=(200, 1 if kind == "binary" else classes))
    scores = evaluate_scores(kind, logits, labels)
    asked = task(kind, *map(str, range(classes)))
    found = confusion_of(asked, Predictions(logits, labels)).scores().values()
    recalls = [each.recall for each in found if each.recall is not None]
    f1s = [each.f1 for each in found if each.f1 is not None]
    assert np.mean(recalls) == pytest.approx(scores["balanced_accuracy"])
    assert np.mean(f1s) == pytest.approx(scores["macro_f1"])
    counts = confusion_of(asked, Predictions(logits, labels)).counts
    assert counts.trace() / counts.sum() == pytest.approx(scores["accuracy"])


def test_the_order_of_rows_changes_nothing_and_that_of_classes_only_the_order():
    random = np.random.default_rng(2)
    logits, labels = random.normal(size=(300, 5)), random.integers(0, 5, 300)
    asked = task("multiclass", *"abcde")
    found = tables(asked, Predictions(logits, labels))
    assert tables(asked, Predictions(logits, labels).of(random.permutation(300))) == found
    order = random.permutation(5)
    renamed = task("multiclass", *(asked.classes[each] for each in order))
    moved = Predictions(logits[:, order], np.argsort(order)[labels])
    assert tables(renamed, moved)["classes"] == found["classes"]


def test_the_table_says_its_axes_and_is_read_back():
    asked, predictions = task("multiclass", "truth", "rows", "counts"), of_classes([0, 1, 1, 2], [0, 0, 1, 2], 3)
    card = json.loads(json.dumps(tables(asked, predictions), allow_nan=False))
    assert card["confusion"] == {
        "rows": "truth",
        "columns": "prediction",
        "classes": ["truth", "rows", "counts"],
        "counts": [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    }
    assert Confusion.from_json(card["confusion"]).scores() == confusion_of(asked, predictions).scores()
    assert card["classes"]["truth"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
        "predicted": 1,
    }


def test_a_table_by_a_version_before_is_read():
    """There each true class had its row, and nothing said so. Whatever the classes are called."""
    before = {"rows": [3, 1], "counts": [0, 4]}
    found = Confusion.from_json(before)
    assert found.classes == ("rows", "counts") and found.counts.tolist() == [[3, 1], [0, 4]]
    assert found.scores()["rows"] == (1, 3 / 4, pytest.approx(6 / 7), 4, 3)


def test_labels_keep_the_scores_that_they_had_and_say_none_where_there_is_none():
    asked, predictions = attributes(3)
    predictions.labels[:, 1] = 0
    labels = json.loads(json.dumps(tables(asked, predictions), allow_nan=False))["labels"]
    for column in (0, 2):
        of_one = evaluate_scores("binary", predictions.logits[:, [column]], predictions.labels[:, column])
        assert labels[f"attribute {column}"].items() >= of_one.items()
    lacking = labels["attribute 1"]
    assert (lacking["auc"], lacking["balanced_accuracy"], lacking["recall"]) == (None, None, None)
    assert lacking["support"] == 0 and lacking["precision"] == 0 and lacking["predicted"] > 0
    assert lacking.keys() == labels["attribute 0"].keys()
    assert np.sum(lacking["confusion"]["counts"]) == 500


def test_frames_of_a_video_count_once_in_deepfake_detection_and_else_each():
    """Two videos of three frames, one of each class, and a still that is real."""
    logits = np.array([3.0, -1, 3, -2, -2, 1, 2])[:, None]
    predictions = Predictions(logits, np.array([1, 1, 1, 0, 0, 0, 0]))
    texts = RowTexts(np.full(7, ""), np.array([*"aaabbb", ""]), {})
    found = tables_by_class(Task("deepfake", "binary", ("real", "fake"), (1, 1), 2), predictions, texts)
    assert (found["scored_by"], found["confusion"]["counts"]) == ("video", [[1, 1], [0, 1]])
    found = tables_by_class(Task("glasses", "binary", ("no", "yes"), (1, 1), 2), predictions, texts)
    assert (found["scored_by"], found["confusion"]["counts"]) == ("row", [[2, 2], [1, 2]])
