"""What TensorBoard shows of how a finalist judges the validation rows, against counts made row by row."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, softmax
from tensorboard.util import tensor_util

from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts, of_videos
from search.record.predictions import About, KeptPredictions
from search.study.tensorboard.confusion_picture import RIGHT, WRONG, Counts, draw
from search.study.tensorboard.judgement import judgement

ROWS = 60


def kept(kind, classes, logits, labels, name="task", videos=None):
    empty = np.full(len(labels), "")
    texts = RowTexts(empty, empty if videos is None else videos, {})
    return KeptPredictions(About(name, kind, classes, "auc", "val", "f"), Predictions(logits, labels), texts)


def shown(predictions):
    """The curves by their tag [6, T], and the picture."""
    found = {summary.value[0].tag: summary.value[0] for summary in judgement(predictions)}
    picture = Image.open(io.BytesIO(found.pop("validation confusion").image.encoded_image_string))
    return {tag: tensor_util.make_ndarray(value.tensor) for tag, value in found.items()}, picture


def counted(probability, is_true, num_thresholds=127):
    """True positives, false positives, true negatives, false negatives, precision and recall at each threshold."""
    found = []
    for index in range(num_thresholds):
        said = np.floor(probability * (num_thresholds - 1)) >= index
        hits, alarms = (said & is_true).sum(), (said & ~is_true).sum()
        misses = (~said & is_true).sum()
        found.append((hits, alarms, (~said & ~is_true).sum(), misses, hits / max(said.sum(), 1), hits / is_true.sum()))
    return np.array(found).T


def colours(picture):
    return {colour for _, colour in picture.getcolors(1 << 24)}


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_a_binary_task_has_the_curve_of_its_positive_class(random):
    logits, labels = random.normal(size=(ROWS, 1)), random.integers(0, 2, ROWS)
    curves, _ = shown(kept("binary", ("no", "yes"), logits, labels))
    assert list(curves) == ["val/yes"]
    assert curves["val/yes"] == pytest.approx(counted(expit(logits[:, 0]), labels == 1), abs=1e-5)


def test_a_class_that_is_a_number_says_of_what_it_is_as_on_the_page(random):
    logits, labels = random.normal(size=(ROWS, 1)), random.integers(0, 2, ROWS)
    curves, _ = shown(kept("binary", ("0", "1"), logits, labels, "male"))
    assert list(curves) == ["val/male 1"]


def test_each_class_that_occurs_has_a_curve(random):
    logits, labels = random.normal(size=(ROWS, 4)), random.integers(0, 3, ROWS)
    curves, _ = shown(kept("multiclass", ("a", "b", "c", "never"), logits, labels))
    assert list(curves) == ["val/a", "val/b", "val/c"]
    for column, curve in enumerate(curves.values()):
        assert curve == pytest.approx(counted(softmax(logits, axis=1)[:, column], labels == column), abs=1e-5)


def test_each_label_has_a_curve(random):
    logits, labels = random.normal(size=(ROWS, 2)), random.integers(0, 2, (ROWS, 2))
    curves, _ = shown(kept("multilabel", ("a", "b"), logits, labels))
    assert list(curves) == ["val/a", "val/b"]
    assert curves["val/b"] == pytest.approx(counted(expit(logits[:, 1]), labels[:, 1] == 1), abs=1e-5)


def test_videos_are_judged_where_they_are_scored(random):
    logits, labels = random.normal(size=(ROWS, 1)), np.repeat(random.integers(0, 2, ROWS // 4), 4)
    predictions = kept("binary", ("real", "fake"), logits, labels, "deepfake", np.repeat(np.arange(15), 4).astype(str))
    units, _ = of_videos(predictions.predictions, predictions.texts)
    curves, _ = shown(predictions)
    assert len(units.labels) == 15
    assert curves["val/fake"] == pytest.approx(counted(expit(units.logits[:, 0]), units.labels == 1), abs=1e-5)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_errors_have_a_colour_of_their_own(kind, random):
    labels = random.integers(0, 2, (ROWS, 2) if kind == "multilabel" else ROWS)
    logits = 9.0 * (2 * labels.reshape(ROWS, -1) - 1)
    if kind == "multiclass":
        logits = np.concatenate([-logits, logits], axis=1)
    _, right = shown(kept(kind, ("a", "b"), logits, labels))
    _, wrong = shown(kept(kind, ("a", "b"), -logits, labels))
    assert RIGHT in colours(right) and WRONG not in colours(right)
    assert WRONG in colours(wrong) and RIGHT not in colours(wrong)


@pytest.mark.parametrize("count", [2, 8, 12, 40])
@pytest.mark.parametrize("name", ["a", "a very long name of a class {}"])
def test_nothing_of_the_picture_is_cut_off(count, name):
    names, table = tuple(name.format(each) for each in range(count)), np.full((count, count), 12345)
    counts = Counts(table, table * count, np.eye(count, dtype=bool), names, names, ("truth", "prediction"))
    picture = np.asarray(Image.open(io.BytesIO(draw(counts, "12,345 images of validation"))))
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all()


def test_a_class_without_rows_has_an_empty_line():
    table = np.array([[5, 0], [0, 0]])
    of = table.sum(1, keepdims=True).repeat(2, 1)
    picture = Image.open(
        io.BytesIO(draw(Counts(table, of, np.eye(2, dtype=bool), ("a", "b"), ("a", "b"), ("", "")), ""))
    )
    assert RIGHT in colours(picture)
