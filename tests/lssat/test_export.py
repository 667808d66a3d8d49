"""A winner as an ONNX model: it answers as torch does in batches of any size, or there is none."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from lssat.bundle import folder, onnx_model
from lssat.bundle.exporting import add_file, export
from lssat.bundle.onnx_model import FEWEST_ROWS, Answer, prove, write_onnx
from lssat.bundle.opening import open_bundle
from lssat.bundle.winner import Winner
from lssat.config import ConfigError, build
from lssat.data.prepared.rows import ResidentRows
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
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


def test_it_is_part_of_the_bundle_and_of_its_digests(asked):
    _, place, _, _ = asked
    add_file(place / "best", place / folder.ONNX)
    assert folder.check_files(place / "best").notes == ()
    with (place / "best" / folder.ONNX).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(ConfigError, match=f"{folder.ONNX}.*not as it was written"):
        open_bundle(place / "best")


def test_a_model_of_other_weights_is_refused(asked):
    bundle, place, images, labels = asked
    with torch.no_grad():
        bundle.model.head.bias += 1e-3
    try:
        with pytest.raises(ConfigError, match=r"is not the trained one.*differ by up to 0\.001"):
            prove(bundle, place / folder.ONNX, images, labels)
    finally:
        with torch.no_grad():
            bundle.model.head.bias -= 1e-3


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


def test_the_command_proves_on_prepared_data(tmp_path):
    bundle = bundle_of(tmp_path, "binary", RESNET)
    command = [sys.executable, "-m", "lssat.export", str(bundle), "--data", str(tmp_path / "no.parquet")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "no.parquet" in done.stderr
    assert not (bundle / folder.ONNX).exists()
