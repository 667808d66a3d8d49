"""A run that never sees some values of a column: trained as if they were not there, scored on them and beside them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lssat.bundle.exporting import export
from lssat.bundle.folder import CALIBRATION, CARD, VALIDATION, read
from lssat.bundle.opening import open_bundle
from lssat.bundle.scoring import score_bundle, score_trained
from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.selection import as_used, learnt_rows
from lssat.data.prepared.table import DatasetInfo, Row, read_texts, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation.metrics import one_score
from lssat.evaluation.scorecard import shown
from lssat.evaluation.units import RowTexts, texts_to_send
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.learner import load_predictions
from lssat.train.loop import TrainingRun, fit

SETTINGS = {
    "backbone.name": "test_vit",
    "backbone.patch_size": 8,
    "data.image_size": 32,
    "masking.unit": 8,
    "auxiliary": False,
    "optim.epochs": 3,
    "optim.batch_size": 16,
    "optim.precision": "float32",
    "optim.class_balanced": True,
    "data.hold_out": "method",
    "data.held_out": ["warp"],
}
COLUMNS = ("method", "camera")


def faces(split, methods=("swap", "warp")):
    """Two real frames beside one fake of each method, in four videos of each person."""
    generator = np.random.default_rng(["train", "val", "test"].index(split))
    for number in range(64):
        method = ("", "", "swap", "warp")[number % 4]
        level = {"": 0, "swap": 60, "warp": -20}[method]
        pixels, out = generator.integers(60, 180, (32, 32, 3)) + level, io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
        person = number // 8
        row = Row(out.getvalue(), int(bool(method)), f"{split} {person}", split, f"{split} {person} {number % 4}")
        if not method or method in methods or split != "train":
            yield row._replace(columns=(method, "ab"[number // 4 % 2]))


def prepared(folder, methods=("swap", "warp"), name="deepfake"):
    info = DatasetInfo("here", name, "binary", ("real", "fake"), synthetic=False, columns=COLUMNS, fingerprint="f")
    write_dataset(folder, [row for split in ("train", "val", "test") for row in faces(split, methods)], info)
    return folder


def trained(data, folder, **settings):
    config = build({**SETTINGS, **settings})
    train = read_resident(shard_paths(data, "train"), 32, learnt_rows(data, config.data))
    texts = RowTexts.of_columns(read_texts(data, "val"), config.objective.subgroups, config.data.hold_out)
    task, results = as_used(data, config.data).as_task, []
    val = read_resident(shard_paths(data, "val"), 32)
    cpu = Distributed(torch.device("cpu"))
    fit(TrainingRun(config, task, train, val, cpu, folder, texts_to_send(task, texts)), results.append)
    return results


def test_it_learns_as_if_the_held_out_rows_were_not_there(tmp_path):
    """To the bit: their order, the class weights and the steps are those of data without them."""
    whole, without = prepared(tmp_path / "whole"), prepared(tmp_path / "without", ("swap",))
    results = [trained(data, tmp_path / name) for name, data in (("a", whole), ("b", without))]
    assert [result.score for result in results[0]] == [result.score for result in results[1]]
    one, other = (checkpoint.load(tmp_path / name / "last")[0] for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["deepfake", "bright"])
@pytest.mark.parametrize("metric", ["auto", "worst_group"])
def test_search_finalist_and_winner_say_the_same_of_both_parts(tmp_path, name, metric):
    """And it is what a slow way finds from the predictions that are kept."""
    data = prepared(tmp_path / "data", name=name)
    results = trained(data, tmp_path / "run", **{"objective.metric": metric, "objective.subgroups": ["camera"]})
    best = max(results, key=lambda result: result.score)
    assert results[-1].best == best.score
    assert results[-1].best_in_domain == best.metrics["val/in_domain"]

    texts, val = read_texts(data, "val"), read_resident(shard_paths(data, "val"), 32)
    (logits, labels), positions = load_predictions(tmp_path / "run" / "best")[1]
    assert len(positions) == 64, "predictions of all rows are kept"
    if metric == "auto":
        for values, score in ((("", "warp"), best.score), (("", "swap"), best.metrics["val/in_domain"])):
            rows = np.isin(texts["method"][positions], values)
            videos = [texts["video"][positions][rows], labels[rows]]
            found = slow_score(name, logits[rows, 0], *videos)
            assert score == pytest.approx(found, abs=1e-6)

    finalist = score_trained(tmp_path / "run" / "best", val, texts).result
    export(tmp_path / "run" / "best", tmp_path / "bundle", data)
    assert "In training there was no photo whose `method` is `warp`." in (tmp_path / "bundle" / CARD).read_text()
    card = score_bundle(open_bundle(tmp_path / "bundle"), val, texts, ["camera"]).result
    inside = card["hold_out"]["in_domain"]
    assert finalist["score"] == pytest.approx(best.score) == pytest.approx(card["score"])
    assert finalist["in_domain"] == pytest.approx(results[-1].best_in_domain) == pytest.approx(inside["score"])
    by_value = card["hold_out"]["values"]
    assert {value: found["held_out"] for value, found in by_value.items()} == {"swap": False, "warp": True}
    assert by_value["warp"]["score"] == pytest.approx(card["score"]), "the only value that is held out"
    assert by_value["swap"]["score"] == pytest.approx(inside["score"])
    assert sum(of["support"] for of in card["classes"].values()) == (24 if name == "deepfake" else 48)
    assert read(tmp_path / "bundle" / VALIDATION)["classes"] == card["classes"]


def slow_score(name, logits, videos, labels):
    """Of a deepfake the AUC of videos, each of the mean probability of its frames; else the balanced accuracy."""
    if name != "deepfake":
        return one_score("binary", "balanced_accuracy", logits[:, None], labels)
    probability = 1 / (1 + np.exp(-logits.astype(float)))
    scores = {video: (probability[videos == video].mean(), labels[videos == video][0]) for video in videos}
    fake = [score for score, label in scores.values() if label]
    real = [score for score, label in scores.values() if not label]
    return np.mean([(high > low) + 0.5 * (high == low) for high in fake for low in real])


def test_other_data_are_scored_whole_where_they_cannot_be_scored_apart(tmp_path):
    """They lack the column, or the held-out value."""
    data = prepared(tmp_path / "data", name="bright")
    trained(data, tmp_path / "run")
    export(tmp_path / "run" / "best", tmp_path / "bundle", data)
    bundle = open_bundle(tmp_path / "bundle")
    texts, rows = read_texts(data, "test"), read_resident(shard_paths(data, "test"), 32)
    elsewhere = {**texts, "method": np.where(texts["method"] == "warp", "other", texts["method"])}
    without = {name: words for name, words in texts.items() if name != "method"}
    for other, why in ((elsewhere, "lack a class with or without these values"), (without, "have no such column")):
        card = score_bundle(bundle, rows, other).result
        assert f"trained without method warp, but these rows {why}, so all of them are scored" in shown(card)
        assert "hold_out" not in card and "in_domain" not in card
        assert sum(of["support"] for of in card["classes"].values()) == 64
    apart = score_bundle(bundle, rows, texts).result
    assert "hold_out" in apart and "hold_out_why" not in apart


def test_the_temperature_is_of_the_scored_rows_or_there_is_none(tmp_path):
    data = prepared(tmp_path / "data")
    trained(data, tmp_path / "run")
    export(tmp_path / "run" / "best", tmp_path / "bundle", data)
    assert read(tmp_path / "bundle" / CALIBRATION)["units"] == 3 * 8, "videos: two real ones and one by warp of each"
    export(tmp_path / "run" / "best", tmp_path / "blind")
    assert not (tmp_path / "blind" / CALIBRATION).exists(), "which rows are scored only the data tell"
    assert "not known which of them the score is of" in (tmp_path / "blind" / CARD).read_text()
