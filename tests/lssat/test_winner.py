"""A winner in use: it answers what evaluation scores, its encoder is timm's, and a killed command goes on."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

import lssat
from lssat.bundle.exporting import export
from lssat.bundle.folder import CONFIG, PREPROCESSING, WEIGHTS
from lssat.bundle.opening import open_bundle
from lssat.config import build
from lssat.data.images import UnusableImage
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.rows import ResidentRows
from lssat.data.prepared.table import DatasetInfo, Row, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation.calibration import calibration, probabilities
from lssat.evaluation.predictions import Predictions
from lssat.predict import main
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.scoring import predict_rows

ROOT = Path(__file__).resolve().parents[2]
TASK = Task("bright", "binary", ("no", "yes"), (8, 8), 16)
SMALL = {
    "data.image_size": 32,
    "masking.unit": 8,
    "decoder.dim": 32,
    "optim.epochs": 1,
    "optim.batch_size": 8,
    "optim.warmup_epochs": 0,
}


def train(folder, backbone, **settings):
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": np.arange(16) % 2}])
    config = build({**SMALL, "backbone.name": backbone, **settings})
    fit(TrainingRun(config, TASK, rows, rows, Distributed(torch.device("cpu")), folder), lambda result: None)
    return folder / "best"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """20 photos of several sizes, in a folder."""
    folder, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for n in range(20):
        Image.fromarray(generator.integers(0, 255, (40 + n, 50, 3)).astype(np.uint8)).save(folder / f"{n:02}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory, photos):
    """The same photos, prepared: all of them are in each split."""
    images = [path.read_bytes() for path in sorted(photos.iterdir())]
    rows = [Row(image, n % 2, f"{s}{n}", s) for s in ("train", "val", "test") for n, image in enumerate(images)]
    folder = tmp_path_factory.mktemp("data") / "prepared"
    write_dataset(folder, rows, DatasetInfo("photos", "bright", "binary", ("no", "yes"), synthetic=False))
    return folder


@pytest.fixture(scope="module")
def best(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("winner")
    export(train(folder / "run", "test_vit", **{"backbone.patch_size": 8}), folder / "best", data)
    return folder / "best"


def expected(best, data):
    bundle = open_bundle(best)
    rows = read_resident(shard_paths(data, "test"), 32)
    found, order = predict_rows(bundle.config, bundle.model, rows, Distributed(torch.device("cpu")))
    return found.logits[np.argsort(order)], found.labels[np.argsort(order)]


def test_it_predicts_what_evaluation_scores_whatever_holds_the_images(best, data, photos):
    logits, labels = expected(best, data)
    images = sorted(photos.iterdir())
    by_row = pq.read_table(shard_paths(data, "test")[0])["identity"].to_pylist()
    files = [images[int(name.removeprefix("test"))] for name in by_row]
    assert [int(name.removeprefix("test")) % 2 for name in by_row] == labels.tolist()
    winner = lssat.load(best, "cpu")
    found = winner.predict(files)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.probability.sum(1), 1)
    assert found.labels == [TASK.classes[int(logit > 0)] for logit in logits[:, 0]]
    pictures = [Image.open(path) for path in files]
    arrays = [np.asarray(picture) for picture in pictures]
    tensors = [torch.from_numpy(array.copy()).movedim(-1, 0) for array in arrays]
    for same in (pictures, arrays, tensors, [tensor.float() / 255 for tensor in tensors]):
        np.testing.assert_array_equal(winner.predict(same).logits, found.logits)
    np.testing.assert_allclose(winner.predict(files[0]).logits, logits[:1], atol=1e-5)
    np.testing.assert_allclose(winner.predict(np.stack(arrays[:1])).logits, logits[:1], atol=1e-5)
    for part in winner.reconstruct(files[:3]):
        assert part.shape == (3, 32, 32, 3) and part.dtype == np.uint8


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "test_efficientnet"])
def test_timm_takes_the_encoder_and_gives_the_same_features(tmp_path, photos, backbone):
    patch = {"backbone.patch_size": 8} if backbone == "test_vit" else {}
    trained = train(tmp_path / "run", backbone, **patch, **{"optim.precision": "float32"})
    export(trained, tmp_path / "best")
    known = json.loads((tmp_path / "best" / PREPROCESSING).read_text())
    model = timm.create_model(
        known["backbone"], checkpoint_path=str(tmp_path / "best" / WEIGHTS), **known["timm_options"]
    ).eval()
    winner, files = lssat.load(tmp_path / "best", "cpu"), sorted(photos.iterdir())[:4]
    pixels = np.concatenate([winner.open(path) for path in files])
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(known[name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        features = model((image - mean) / std)
    np.testing.assert_allclose(winner.embed(files), features.numpy(), atol=1e-5)


def ask(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, words), "--device", "cpu"])
    return main()


def test_the_command_writes_the_same_rows_in_every_form_and_names_what_it_cannot_read(
    tmp_path, monkeypatch, capsys, best, photos
):
    bad = tmp_path / "notes.jpg"
    bad.write_text("text")
    words = (best, photos, bad, tmp_path / "absent.png")
    for suffix in ("csv", "jsonl", "parquet"):
        assert ask(monkeypatch, *words, "--embed", "--out", tmp_path / f"out.{suffix}") == 0
    said = capsys.readouterr().err
    assert "20 files answered, 2 without an answer" in said and f"{bad}: not a JPEG or PNG image" in said
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == lines
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [line["source"] for line in lines]
    assert json.loads(rows[0]["embedding"]) == lines[0]["embedding"]
    found = lssat.load(best, "cpu").predict(sorted(photos.iterdir()))
    assert [line["label"] for line in lines[:20]] == found.labels
    np.testing.assert_allclose([line["p_yes"] for line in lines[:20]], found.probability[:, 1], atol=1e-6)
    assert [line["reason"] for line in lines[20:]] == ["not a JPEG or PNG image", "file not found"]
    assert ask(monkeypatch, *words, "--out", tmp_path / "out.csv") == 2


def test_a_killed_command_goes_on_to_the_same_output(tmp_path, monkeypatch, capsys, best, photos):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert ask(monkeypatch, best, photos, "--batch-size", 4, "--out", whole) == 0
    code = (
        "import os, sys\nfrom lssat.answers import output\nadd, done = output.Journal.add, []\n"
        "def stop(journal, row):\n    add(journal, row)\n    done.append(row)\n"
        "    if len(done) == 9:\n        os.kill(os.getpid(), 9)\n"
        "output.Journal.add = stop\nfrom lssat.predict import main\nmain()"
    )
    words = [sys.executable, "-c", code, best, photos, "--batch-size", "4", "--out", out, "--device", "cpu"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True).returncode == -9
    assert not out.exists()
    with (tmp_path / ".out.jsonl.partial").open("a") as file:
        file.write('{"source": "torn')
    assert ask(monkeypatch, best, photos, "--embed", "--out", out) == 2, "other options"
    assert ask(monkeypatch, best, photos, "--batch-size", 4, "--out", out) == 0
    assert "9 files were answered before" in capsys.readouterr().err
    again, once = ([json.loads(line) for line in path.read_text().splitlines()] for path in (out, whole))
    assert [row["source"] for row in again] == [row["source"] for row in once]
    np.testing.assert_allclose([row["p_yes"] for row in again], [row["p_yes"] for row in once], atol=1e-6)
    assert not (tmp_path / ".out.jsonl.partial").exists()


def test_folders_without_photos_and_patterns_without_files_are_refused(tmp_path, monkeypatch, capsys, best):
    for source in (tmp_path, tmp_path / "*.jpg"):
        assert ask(monkeypatch, best, source) == 2
        assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(UnusableImage, match=r"must be \[H, W, 3\]"):
        lssat.load(best).predict(np.zeros((4, 4, 1), np.uint8))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_temperature_finds_back_by_how_much_logits_are_too_sure(kind):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20_000, 1 if kind == "binary" else 4)) * 2
    if kind == "multiclass":
        labels = (logits + generator.gumbel(size=logits.shape)).argmax(1)
    else:
        labels = (generator.random(logits.shape) < probabilities("multilabel", logits)).astype(int)
    labels = labels[:, 0] if kind == "binary" else labels
    found = calibration(kind, Predictions(logits * 3, labels))
    assert found["temperature"] == pytest.approx(3, rel=0.05)
    assert found["ece_after"] < 0.02 < found["ece_before"]


def test_the_project_is_imported_without_torch_and_help_comes_at_once():
    code = "import sys, lssat, lssat.predict; sys.exit(', '.join({'torch', 'ray', 'timm'} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def test_a_bundle_opens_without_ray(best):
    code = f"import sys, lssat; lssat.load({str(best)!r}); sys.exit('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (best / CONFIG).exists()
