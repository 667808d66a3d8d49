"""The temperature undoes what made logits too sure, and never changes a label."""

import numpy as np
import pytest
from scipy.special import expit

from lssat.evaluation.calibration import calibration
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import mean_logits, probabilities
from lssat.evaluation.units import RowTexts, of_videos
from lssat.task import Task

KINDS = ("binary", "multiclass", "multilabel")


def no_texts(rows):
    return RowTexts(np.full(rows, ""), np.full(rows, ""), {})


def drawn(kind, rows=20_000):
    """Logits, and labels that are as frequent as these say."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(rows, 1 if kind == "binary" else 4)) * 2
    if kind == "multiclass":
        return logits, (logits + generator.gumbel(size=logits.shape)).argmax(1)
    labels = (generator.random(logits.shape) < expit(logits)).astype(int)
    return logits, labels[:, 0] if kind == "binary" else labels


@pytest.mark.parametrize("kind", KINDS)
def test_a_temperature_finds_back_by_how_much_logits_are_too_sure(kind):
    logits, labels = drawn(kind)
    task = Task("t", kind, ("a", "b") if kind == "binary" else ("a", "b", "c", "d"), (), 0)
    found = calibration(task, Predictions(logits * 3, labels), no_texts(20_000))
    assert found["temperature"] == pytest.approx(3, rel=0.05)
    assert found["ece_after"] < 0.02 < found["ece_before"]
    assert (found["units"], found["of"]) == (20_000, "photos")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_made_for_classes_that_are_equally_frequent_is_fitted_to_such_photos(kind):
    """Where some are rare in validation, no temperature of the photos as they come would do."""
    logits, labels = drawn(kind)
    is_rare = labels[:, 0] == 1 if kind == "multilabel" else labels > 0
    is_kept = ~is_rare | (np.random.default_rng(2).random(len(labels)) < 0.1)
    task = Task("t", kind, ("a", "b") if kind == "binary" else ("a", "b", "c", "d"), (), 0)
    rare, texts = Predictions(logits[is_kept] * 3, labels[is_kept]), no_texts(int(is_kept.sum()))
    evenly, as_they_come = calibration(task, rare, texts, evenly=True), calibration(task, rare, texts)
    assert evenly["evenly"] and not as_they_come["evenly"]
    assert evenly["temperature"] == pytest.approx(3, rel=0.1)
    assert evenly["ece_after"] < 0.03 < evenly["ece_before"]
    if kind != "multiclass":  # of that it is the likeliest class, which one is right as often here
        assert as_they_come["ece_after"] > 2 * evenly["ece_after"]


def test_a_model_that_is_never_wrong_has_a_temperature_too():
    certain = Predictions(np.array([[-9.0], [9.0]]), np.array([0, 1]))
    found = calibration(Task("t", "binary", ("a", "b"), (), 0), certain, no_texts(2))
    assert 0 < found["temperature"] < 1


def test_where_videos_are_scored_the_temperature_is_theirs():
    logits, labels = drawn("binary", 400)
    video = np.repeat(np.arange(100), 4).astype(str)
    labels = np.repeat(labels[::4], 4)
    texts = RowTexts(video, video, {})
    videos, _ = of_videos(Predictions(logits, labels), texts)
    found = calibration(Task("deepfake", "binary", ("real", "fake"), (), 0), Predictions(logits, labels), texts)
    assert (found["units"], found["of"]) == (100, "videos")
    assert (
        found["temperature"]
        == calibration(Task("t", "binary", ("a", "b"), (), 0), videos, no_texts(100))["temperature"]
    )
    other = calibration(Task("smiling", "binary", ("no", "yes"), (), 0), Predictions(logits, labels), texts)
    assert (other["units"], other["of"]) == (400, "photos")


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_has_the_mean_of_its_frames_probabilities_and_one_frame_has_its_own(kind):
    logits, _ = drawn(kind, 7)
    np.testing.assert_allclose(
        probabilities(kind, mean_logits(kind, logits))[0], probabilities(kind, logits).mean(0), atol=1e-9
    )
    np.testing.assert_allclose(
        probabilities(kind, mean_logits(kind, logits[:1]), 2.5), probabilities(kind, logits[:1], 2.5), atol=1e-9
    )
    together = mean_logits(kind, np.concatenate([logits[:3], logits[6:] * 1e3]), np.array([1, 1, 1, 0]))
    np.testing.assert_allclose(together[1:], mean_logits(kind, logits[:3]))
    np.testing.assert_array_equal(together[0], logits[6] * 1e3)
