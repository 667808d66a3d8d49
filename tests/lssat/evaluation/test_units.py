"""Scores of whole videos against a slow reference, and what must not change them."""

import time
from collections import defaultdict

import numpy as np
import pytest

from lssat.config import build
from lssat.evaluation import uncertainty
from lssat.evaluation.metrics import evaluate_scores, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import independent, scorecard
from lssat.evaluation.units import RowTexts, of_videos, score_units, texts_to_send
from lssat.task import Task
from lssat.train.scoring import score_predictions

DEEPFAKE = Task("deepfake", "binary", ("real", "fake"), (50, 50), 100)
CONFIG = build({"objective.subgroups": ["method"]})


def frames(num_videos=60, seed=0):
    """Frames of videos, in no order: some rows are stills, and some videos are forged in part."""
    random = np.random.default_rng(seed)
    count = random.integers(1, 9, num_videos)
    number = np.repeat(np.arange(num_videos), count)
    label = np.repeat(np.arange(num_videos) % 2, count)
    method = np.where(label == 1, np.repeat(random.choice(["swap", "blend"], num_videos), count), "swap")
    method = np.where(random.random(len(number)) < 0.1, "blend", method)  # here frames of a video disagree
    label = np.where(random.random(len(number)) < 0.05, 1 - label, label)
    video = np.where(number % 7 == 0, "", np.char.add("row ", number.astype(str)))
    order = random.permutation(len(number))
    logits = (random.normal(size=len(number)) + label).astype(np.float32)[order, None]
    texts = RowTexts(np.full(len(number), ""), video[order], {"method": method[order]})
    return Predictions(logits, label[order]), texts


def slowly(predictions, texts, by_group):
    """Mean probability and label of each unit, row by row."""
    found = defaultdict(list)
    for row, video in enumerate(texts.video):
        key = (video or row, int(predictions.labels[row]), texts.groups["method"][row] if by_group else "")
        found[key].append(1 / (1 + np.exp(-float(predictions.logits[row, 0]))))
    return {key: sum(values) / len(values) for key, values in found.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by_group", [False, True])
def test_units_are_those_of_a_slow_reference(seed, by_group):
    predictions, texts = frames(seed=seed)
    units, known = score_units(DEEPFAKE, predictions, texts, by_group)
    expected = slowly(predictions, texts, by_group)
    probability = 1 / (1 + np.exp(-units.logits[:, 0]))
    group = known.groups["method"] if by_group else np.full(len(known.video), "")
    named = list(zip(known.video, units.labels, group, probability, strict=True))
    videos = {(video, label, word): value for video, label, word, value in named if video}
    assert videos == pytest.approx({key: value for key, value in expected.items() if isinstance(key[0], str)})
    stills = sorted((label, word, value) for video, label, word, value in named if not video)
    reference = sorted((*key[1:], value) for key, value in expected.items() if not isinstance(key[0], str))
    assert [entry[:2] for entry in stills] == [entry[:2] for entry in reference]
    assert [entry[2] for entry in stills] == pytest.approx([entry[2] for entry in reference])
    assert len(named) == len(expected) < len(texts.video)


def test_scores_are_of_videos_and_those_of_frames_have_a_name_of_their_own():
    predictions, texts = frames()
    scores = score_predictions(CONFIG, DEEPFAKE, predictions, texts)
    expected = slowly(predictions, texts, by_group=False)
    probability = np.array(list(expected.values()))
    of_units = evaluate_scores(
        "binary", np.log(probability / (1 - probability))[:, None], np.array([key[1] for key in expected])
    )
    of_frames = evaluate_scores("binary", *predictions)
    for name in of_units:
        assert scores[name] == pytest.approx(of_units[name]), name
        assert scores[f"frame_{name}"] == of_frames[name], name
    assert scores["auc"] != scores["frame_auc"]
    grouped = slowly(predictions, texts, by_group=True)
    each = []
    for method in ("swap", "blend"):
        found = [(value, key[1]) for key, value in grouped.items() if key[2] == method]
        value, label = map(np.array, zip(*found, strict=True))
        each.append(one_score("binary", "auc", np.log(value / (1 - value))[:, None], label))
    assert (scores["worst_group"], scores["gap"]) == pytest.approx((min(each), max(each) - min(each)))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_score(seed):
    predictions, texts = frames(seed=seed)
    order = np.random.default_rng(seed).permutation(len(texts.video))
    shuffled = score_predictions(CONFIG, DEEPFAKE, predictions.of(order), texts.of(order))
    assert shuffled == pytest.approx(score_predictions(CONFIG, DEEPFAKE, predictions, texts), abs=1e-6)
    sums = [of_videos(predictions.of(rows), texts.of(rows))[0].logits[:, 0] for rows in (slice(None), order)]
    assert (np.sort(sums[0]) == np.sort(sums[1])).all(), "to the bit, so that no tie is made or broken"


@pytest.mark.parametrize("video", ["a video each", "no video"])
def test_one_frame_a_video_is_scored_as_frames_are(video):
    predictions, texts = frames()
    number = np.arange(len(texts.video)).astype(str)
    alone = RowTexts(texts.identity, number if video == "a video each" else np.full(len(number), ""), texts.groups)
    scores = score_predictions(CONFIG, DEEPFAKE, predictions, alone)
    frame_scores = {name.removeprefix("frame_"): scores.pop(name) for name in list(scores) if name.startswith("frame_")}
    still = score_predictions(CONFIG, DEEPFAKE, predictions, RowTexts(alone.identity, alone.identity, alone.groups))
    assert scores == pytest.approx(still)
    assert bool(frame_scores) == (video == "a video each")
    assert {name: scores[name] for name in frame_scores} == pytest.approx(frame_scores)


@pytest.mark.parametrize("task", [Task("fake", "binary", ("no", "yes"), (5, 5), 10), DEEPFAKE])
def test_only_deepfake_detection_is_scored_by_video(monkeypatch, task):
    monkeypatch.setattr(uncertainty, "RESAMPLES", 20)
    monkeypatch.setattr(uncertainty, "FEWEST_UNITS", 10)
    predictions, texts = frames()
    whole, known = score_units(task, predictions, texts)
    assert (whole is predictions) == (task is not DEEPFAKE)
    card = scorecard(task, "auc", predictions, score_predictions(CONFIG, task, predictions, texts), texts)
    of_units = evaluate_scores("binary", *of_videos(predictions, texts)[0])
    assert card["video"].items() >= of_units.items(), "the winner's table by video is there for both"
    assert (card["auc"] == of_units["auc"]) == (task is DEEPFAKE)
    assert card["score"] == card["auc"]
    by_name = uncertainty.bootstrap(independent(known), lambda rows: one_score("binary", "auc", *whole.of(rows)))
    assert card["interval"] == by_name, "what is drawn twice counts twice"
    assert card["scored_by"] == ("video" if task is DEEPFAKE else "row")
    confusion = np.array(card["confusion"]["counts"])
    assert sum(scores["support"] for scores in card["classes"].values()) == confusion.sum() == len(whole.labels)
    assert confusion.trace() / confusion.sum() == pytest.approx(card["accuracy"])


def test_a_task_is_deepfake_detection_where_real_and_fake_are_its_two_classes():
    methods = Task("deepfake", "multiclass", ("real", "swap", "blend"), (5, 5, 5), 15)
    assert (DEEPFAKE.score_metric("auto"), methods.score_metric("auto")) == ("auc", "macro_f1")
    assert not methods.is_deepfake


def test_frames_of_one_class_are_refused_as_videos_of_one_class_are():
    predictions, texts = frames()
    alike = Predictions(predictions.logits, np.ones_like(predictions.labels))
    with pytest.raises(ValueError, match="of class 1, so scores are undefined"):
        score_predictions(CONFIG, DEEPFAKE, alike, texts)


def test_what_is_sent_to_workers_scores_the_same_and_is_small():
    predictions, texts = frames()
    people = RowTexts(np.char.add("a person with a long name ", texts.video), texts.video, texts.groups)
    sent = texts_to_send(DEEPFAKE, people)
    scores = [score_predictions(CONFIG, DEEPFAKE, predictions, known) for known in (people, sent)]
    assert scores[0] == pytest.approx(scores[1])
    assert sent.video.nbytes + sent.identity.nbytes < people.video.nbytes
    other = Task("fake", "binary", ("no", "yes"), (5, 5), 10)
    assert not texts_to_send(other, people).has_videos, "they are not scored by"
    assert texts_to_send(other, RowTexts(people.identity, people.video, {})) is None


def test_many_frames_are_scored_in_a_moment():
    random = np.random.default_rng(0)
    number = random.integers(0, 6250, 200_000)
    texts = RowTexts(np.full(len(number), ""), np.char.add("v", number.astype("<U6")), {})
    predictions = Predictions(random.normal(size=(len(number), 1)).astype(np.float32), number % 2)
    started = time.perf_counter()
    units, _ = score_units(DEEPFAKE, predictions, texts)
    assert len(units.labels) == 6250
    assert time.perf_counter() - started < 10  # seconds; it takes a fraction of one
