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
from lssat.evaluation.metrics import one_score
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest
from search.record.predictions import read
from search.study.conclusion import Choice, open_test
from search.study.session import task_of

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


def test_fewer_finalists_than_before_bring_back_an_earlier_winner(tmp_path, prepared):
    train, val = (read_resident(shard_paths(prepared, split), 32) for split in ("train", "val"))
    trained = {}
    for seed, name in enumerate("ab"):
        config, task = build({**SMALL, "seed": seed}), task_of(read_info(prepared))
        run = TrainingRun(config, task, train, val, Distributed(torch.device("cpu")), tmp_path / name)
        fit(run, lambda result: None)
        trained[name] = tmp_path / name / "best"
    folder = RunFolder(tmp_path)
    record = Manifest(folder.manifest, {"test_opened": [], "sessions": [{}]})
    said = []

    def opened(names, chosen):
        choice = Choice(chosen, {name: trained[name] for name in names}, Stage.FINAL)
        known = open_test(folder, prepared, record, choice, said.append)
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
