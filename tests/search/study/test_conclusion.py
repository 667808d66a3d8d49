"""Test is opened once for each run, on record before the look, and `best/` is the winner's."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import read_info, shard_paths
from lssat.evaluation.classes import Confusion
from lssat.evaluation.metrics import one_score
from lssat.train.distributed import Distributed
from lssat.train.learner import load_predictions
from lssat.train.loop import TrainingRun, fit
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest
from search.record.predictions import read
from search.study.conclusion import Choice, open_test

SMALL = {
    "backbone.name": "test_efficientnet",
    "data.image_size": 32,
    "masking.unit": 8,
    "auxiliary": False,
    "optim.epochs": 1,
    "optim.warmup_epochs": 0,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    images = []
    for index in range(60):
        out = io.BytesIO()
        Image.fromarray((generator.integers(0, 150, (32, 32, 3)) + 60 * (index % 2)).astype(np.uint8)).save(out, "PNG")
        images.append(out.getvalue())
    split = np.repeat(["train", "val", "test"], 20)
    pq.write_table(pa.table({"image": images, "bright": np.arange(60) % 2, "split": split}), folder / "faces.parquet")
    return prepare(
        build({"data.source": str(folder / "faces.parquet"), "data.task": "bright"}).data, folder, lambda text: None
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, prepared):
    """The best checkpoints of two runs."""
    folder = tmp_path_factory.mktemp("trained")
    train, val = (read_resident(shard_paths(prepared, split), 32) for split in ("train", "val"))
    for seed, name in enumerate("ab"):
        config, task = build({**SMALL, "seed": seed}), read_info(prepared).as_task
        run = TrainingRun(config, task, train, val, Distributed(torch.device("cpu")), folder / name)
        fit(run, lambda result: None)
    return {name: folder / name / "best" for name in "ab"}


def test_fewer_finalists_than_before_bring_back_an_earlier_winner(tmp_path, prepared, trained):
    folder = RunFolder(tmp_path)
    record = Manifest(folder.manifest, {"test_opened": [], "sessions": [{}]})
    said = []

    def opened(names, chosen):
        choice = Choice(chosen, names, Stage.FINAL, trained.__getitem__)
        open_test(folder, prepared, record, choice, said.append)
        known = record.test_results
        assert json.loads((tmp_path / "best" / "test.json").read_text()) == json.loads(json.dumps(known[chosen]))
        return load_file(tmp_path / "best" / "head.safetensors")["head.weight"]

    first = opened("a", "a")
    assert not torch.equal(opened("ab", "b"), first)
    assert said == ["scoring 1 run on test ..."] * 2
    looks = json.dumps(record.content["test_opened"])
    assert torch.equal(opened("a", "a"), first)
    assert json.dumps(record.content["test_opened"]) == looks, "it was scored before"
    assert [sorted(opening["results"]) for opening in record.content["test_opened"]] == [["a"], ["b"]]
    assert not torch.equal(opened("ab", "b"), first), "back and forth: what is kept is always the winner's"
    assert torch.equal(opened("a", "a"), first)
    (folder.bundle / "test.json").unlink()  # a kill came before it was written
    assert torch.equal(opened("a", "a"), first)
    assert json.dumps(record.content["test_opened"]) == looks
    assert len(said) == 2, "nothing was scored again"
    assert json.loads((tmp_path / "manifest.json").read_text())["test_opened"][0]["chosen"] == "a"
    for name, result in record.test_results.items():
        kept = read(folder.record(Stage.FINAL, name).predictions("test"))
        assert (kept.about.split, kept.about.data) == ("test", read_info(prepared).fingerprint)
        assert one_score("binary", result["metric"], *kept.predictions) == pytest.approx(result["score"], abs=1e-12)


def as_before(card):
    """A scorecard as the version before wrote it: the table of confusion alone, by the names of true classes."""
    table = card["confusion"]
    kept = {name: value for name, value in card.items() if name not in ("classes", "scored_by")}
    return kept | {"confusion": dict(zip(table["classes"], table["counts"], strict=True))}


@pytest.mark.parametrize("killed", [False, True])
def test_a_study_that_a_version_before_ended_keeps_its_test_results_and_does_not_look_again(
    tmp_path, prepared, trained, killed
):
    folder = RunFolder(tmp_path)
    record = Manifest(folder.manifest, {"test_opened": [], "sessions": [{}]})
    choice = Choice("a", ["a"], Stage.FINAL, trained.__getitem__)
    open_test(folder, prepared, record, choice, lambda text: None)
    card = record.test_results["a"]
    old = as_before(card)
    assert old["confusion"].keys() == {"0", "1"} and Confusion.from_json(old["confusion"]).counts.sum() == 20
    record.record_test({"a": old})
    (folder.bundle / "test.json").write_text(json.dumps(old))
    looks = json.dumps(record.content["test_opened"])
    if killed:
        (folder.bundle / "test.json").unlink()
    said = []
    open_test(folder, prepared, record, choice, said.append)
    assert record.test_results == {"a": old}
    assert json.loads((folder.bundle / "test.json").read_text()) == json.loads(json.dumps(old))
    assert (json.dumps(record.content["test_opened"]), said) == (looks, [])


def test_the_winner_says_by_class_what_it_got_on_validation(tmp_path, prepared, trained):
    folder = RunFolder(tmp_path)
    record = Manifest(folder.manifest, {"test_opened": [], "sessions": [{}]})
    open_test(folder, prepared, record, Choice("a", ["a"], Stage.FINAL, trained.__getitem__), lambda text: None)
    found = json.loads((folder.bundle / "validation.json").read_text())
    result, _ = load_predictions(trained["a"])
    assert found.items() >= result.to_json().items() and found["scored_by"] == "row"
    counts = np.array(found["confusion"]["counts"])
    assert counts.sum() == 20 and counts.trace() / 20 == pytest.approx(found["val/accuracy"])
    assert [scores["support"] for scores in found["classes"].values()] == [10, 10]
