"""A winner as an ONNX model: it answers as torch does in batches of any size, or there is none."""

import dataclasses
import io
import shutil
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from lssat.bundle import folder, onnx_model
from lssat.bundle.exporting import add_onnx, add_test, export
from lssat.bundle.onnx_model import FEWEST_ROWS, Answer, prove, write_onnx
from lssat.bundle.opening import open_bundle
from lssat.bundle.winner import Winner
from lssat.config import build
from lssat.data.prepared.decoding import read_resident, read_some
from lssat.data.prepared.rows import ResidentRows
from lssat.data.prepared.table import DatasetInfo, Row, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.errors import ConfigError
from lssat.export import main
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT

COMMON = {
    "data.image_size": 32,
    "masking.unit": 8,
    "optim.epochs": 1,
    "optim.batch_size": 8,
    "optim.warmup_epochs": 0,
}
RESNET = {**COMMON, "backbone.name": "test_resnet", "streams": "MRGB/RLDP/CRGB"}
LBP = {**COMMON, "backbone.name": "test_efficientnet", "streams": "MRGB/RLBP/CLBP"}
KINDS = {
    "binary": Task("bright", "binary", ("no", "yes"), (8, 8), 16),
    "multiclass": Task("mood", "multiclass", ("low", "mid", "high"), (6, 5, 5), 16),
    "multilabel": Task("marks", "multilabel", ("left", "right"), (8, 8), 16),
}


def labels_of(kind, count):
    index = np.arange(count)
    return {"binary": index % 2, "multiclass": index % 3, "multilabel": np.stack([index % 2, index // 2 % 2], 1)}[kind]


def bundle_of(place, kind, settings):
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": labels_of(kind, 16)}])
    fit(
        TrainingRun(build(settings), KINDS[kind], rows, rows, Distributed(torch.device("cpu")), place / "run"),
        lambda result: None,
    )
    export(place / "run" / BEST_CHECKPOINT, place / "best")
    return place / "best"


ONE = ("binary", RESNET)


@pytest.fixture(scope="module", params=[ONE, ("multiclass", LBP), ("multilabel", RESNET)])
def asked(request, tmp_path_factory):
    """A bundle, its ONNX model, and rows to ask both about."""
    kind, settings = request.param
    place = tmp_path_factory.mktemp(kind)
    bundle = open_bundle(bundle_of(place, kind, settings))
    write_onnx(bundle, place / folder.ONNX)
    images = np.random.default_rng(1).integers(0, 256, (FEWEST_ROWS, 32, 32, 3)).astype(np.uint8)
    return bundle, place, images, labels_of(kind, FEWEST_ROWS)


def test_it_answers_as_the_winner_does_whatever_the_size_of_a_batch(asked):
    bundle, place, images, labels = asked
    proof = prove(bundle, place / folder.ONNX, images, labels)
    assert proof.rows == FEWEST_ROWS and proof.largest_difference <= 1e-4
    winner = Winner(bundle, torch.device("cpu"), 64)
    session = onnxruntime.InferenceSession(str(place / folder.ONNX), providers=["CPUExecutionProvider"])
    for count in (1, 5, 64):
        logits, probability, embedding = session.run(None, {"images": images[:count]})
        wanted = winner.predict(images[:count])
        np.testing.assert_allclose(logits, wanted.logits, atol=1e-4)
        np.testing.assert_allclose(probability, wanted.probability, atol=1e-5)
        np.testing.assert_allclose(embedding, winner.embed(images[:count]), atol=1e-3)


def test_it_is_part_of_the_bundle_and_of_its_digests(asked, tmp_path):
    bundle, place, _, _ = asked
    best = shutil.copytree(place / "best", tmp_path / "best")
    add_onnx(best, [place / folder.ONNX], bundle.digest)
    assert folder.check_files(best).notes == ()
    with (best / folder.ONNX).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(ConfigError, match=f"{folder.ONNX}.*not as it was written"):
        open_bundle(best)


def test_a_model_of_other_weights_is_refused(asked):
    bundle, place, images, labels = asked
    with torch.no_grad():
        bundle.model.head.bias += 1e-3
    try:
        with pytest.raises(ConfigError, match=r"is not the trained one.*logits by up to 0\.001 \(at most 0\.0001\)"):
            prove(bundle, place / folder.ONNX, images, labels)
    finally:
        with torch.no_grad():
            bundle.model.head.bias -= 1e-3


def test_a_model_whose_logits_alone_are_right_is_refused(asked):
    """Of another temperature, or with features of another kind."""
    bundle, place, images, labels = asked
    with pytest.raises(
        ConfigError, match=r"logits by up to [\de.-]+ \(at most 0\.0001\); probability by up to 0\.\d+ "
    ):
        prove(dataclasses.replace(bundle, temperature=3.0), place / folder.ONNX, images, labels)

    class Scaled(torch.nn.Module):
        def forward(self, image):
            output = bundle.model(image)
            return output._replace(pooled=output.pooled * 1.001)

    with pytest.raises(ConfigError, match=r"embedding by up to"):
        prove(dataclasses.replace(bundle, model=Scaled()), place / folder.ONNX, images, labels)


@pytest.mark.parametrize("asked", [ONE], indirect=True)
def test_a_large_model_takes_its_weights_along(asked, tmp_path, monkeypatch):
    """torch writes them into a file of their own from 1.5 GB on."""
    bundle, place, images, labels = asked
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1000)
    (tmp_path / "written").mkdir()
    write_onnx(bundle, tmp_path / "written" / folder.ONNX)
    files = sorted((tmp_path / "written").iterdir())
    assert [path.name for path in files] == [folder.ONNX, f"{folder.ONNX}.data"]
    best = shutil.copytree(place / "best", tmp_path / "best")
    add_onnx(best, files, bundle.digest)
    add_test(best, {"metric": "auc", "score": 0.5, "interval": [0.4, 0.6]})  # what is added later loses neither
    assert folder.check_files(best).digest == bundle.digest
    assert prove(bundle, best / folder.ONNX, images, labels).largest_difference <= 1e-4
    add_onnx(best, [place / folder.ONNX], bundle.digest)  # one that is smaller
    assert not (best / f"{folder.ONNX}.data").exists() and folder.check_files(best).digest == bundle.digest


@pytest.mark.parametrize("asked", [ONE], indirect=True)
def test_another_winner_that_has_taken_the_place_meanwhile_gets_no_model_of_the_first(asked):
    _, place, _, _ = asked
    before = sorted(path.name for path in (place / "best").iterdir())
    with pytest.raises(ConfigError, match="holds another winner than it did at the start"):
        add_onnx(place / "best", [place / folder.ONNX], "0" * 64)
    assert sorted(path.name for path in (place / "best").iterdir()) == before


@pytest.mark.parametrize("asked", [ONE], indirect=True)
def test_a_batch_of_fixed_size_is_refused(asked, tmp_path):
    bundle, _, images, labels = asked
    fixed = torch.onnx.export(
        Answer(bundle).eval(),
        (torch.from_numpy(images[:1]),),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=onnx_model.OUTPUTS,
    )
    fixed.save(tmp_path / "fixed.onnx")
    with pytest.raises(ConfigError, match="batches of 7"):
        prove(bundle, tmp_path / "fixed.onnx", images, labels)


@pytest.mark.parametrize("asked", [ONE], indirect=True)
def test_too_few_rows_prove_nothing(asked):
    bundle, place, images, labels = asked
    with pytest.raises(ConfigError, match=f"at least {FEWEST_ROWS} rows, but there are 255"):
        prove(bundle, place / folder.ONNX, images[:255], labels[:255])


@pytest.mark.parametrize("asked", [ONE], indirect=True)
def test_what_torch_cannot_export_is_one_sentence(asked, tmp_path):
    bundle, _, _, _ = asked

    class Stubborn(torch.nn.Module):
        def forward(self, image):
            return bundle.model(image) if image.sum().item() > 0 else None

    with pytest.raises(ConfigError, match="torch cannot export this model to ONNX"):
        write_onnx(dataclasses.replace(bundle, model=Stubborn()), tmp_path / "none.onnx")
    assert list(tmp_path.iterdir()) == []


def prepared(place, val):
    """A prepared data set of noise with so many validation rows, a class after the other."""
    generator = np.random.default_rng(2)

    def row(split, index, count):
        out = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(out, "PNG")
        return Row(out.getvalue(), index * 2 // count, f"{split}{index}", split)

    counts = {"train": 8, "val": val, "test": 8}
    rows = [row(split, index, count) for split, count in counts.items() for index in range(count)]
    task = KINDS["binary"]
    write_dataset(place, rows, DatasetInfo("noise", task.name, task.kind, task.classes, synthetic=False))
    return place


def run_command(monkeypatch, bundle, data, cache):
    monkeypatch.setattr(sys, "argv", ["export", str(bundle), "--data", str(data), "--cache", str(cache)])
    return main()


def test_the_command_puts_a_model_into_the_bundle(tmp_path, monkeypatch, capsys):
    best = bundle_of(tmp_path, "binary", RESNET)
    before = open_bundle(best).digest
    data = prepared(tmp_path / "data", FEWEST_ROWS + 44)
    assert run_command(monkeypatch, best, data, tmp_path / "cache") == 0
    assert f"on {FEWEST_ROWS + 44} rows of val, in batches of 1, 7, 32" in capsys.readouterr().out
    bundle = open_bundle(best)
    assert bundle.digest == before and "model.onnx" in folder.read(best / folder.MANIFEST)["sha256"]
    rows = read_resident(shard_paths(data, "val"), 32)
    (batch,) = rows.batches(rows.num_rows, 1, None)
    assert prove(bundle, best / folder.ONNX, batch.image, batch.label).rows == FEWEST_ROWS + 44


def test_what_cannot_be_proved_is_told_before_the_model_is_written(tmp_path, monkeypatch, capsys):
    best = bundle_of(tmp_path, "binary", RESNET)
    assert run_command(monkeypatch, best, prepared(tmp_path / "data", FEWEST_ROWS - 1), tmp_path / "cache") == 2
    assert "at least 256 rows, but there are 255" in capsys.readouterr().err
    assert run_command(monkeypatch, best, tmp_path / "no.parquet", tmp_path / "cache") == 2
    assert "no.parquet" in capsys.readouterr().err
    monkeypatch.setattr("lssat.command.find_spec", lambda name: None)
    assert run_command(monkeypatch, tmp_path / "no bundle", tmp_path / "no.parquet", tmp_path / "cache") == 2
    said = capsys.readouterr().err
    assert said == "error: this needs onnx, onnxscript, which the extra brings: pip install '.[export]'\n"
    assert not (best / folder.ONNX).exists()


def test_the_rows_of_a_proof_are_spread_over_the_split(tmp_path):
    data = prepared(tmp_path / "data", 600)
    rows = read_some(shard_paths(data, "val"), 100, 32)
    whole = read_resident(shard_paths(data, "val"), 32)
    (batch,) = whole.batches(600, 1, None)
    assert len(rows["row"]) == 100 and rows["row"][0] == 0 and rows["row"][-1] == 599
    assert set(np.diff(rows["row"])) == {6, 7} or set(np.diff(rows["row"])) == {6}
    np.testing.assert_array_equal(rows["image"], batch.image[rows["row"]])
    np.testing.assert_array_equal(rows["label"], batch.label[rows["row"]])
    assert read_some(shard_paths(data, "val"), 1000, 32)["row"].tolist() == list(range(600))
