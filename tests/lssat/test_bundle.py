"""A winner's folder: whole or as it was, opened again as the model that was trained, whoever wrote it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lssat import bundle, evaluate
from lssat.bundle import export, open_bundle
from lssat.config import ConfigError, build
from lssat.data.prepared.rows import ResidentRows
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.learner import load_trained
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
TASK = Task("bright", "binary", ("no", "yes"), (8, 8), 16)
SMALL = {
    "backbone.name": "test_efficientnet",
    "data.image_size": 32,
    "masking.unit": 8,
    "streams": "MRGB/RLBP/CLBP",
    "texture.lbp_points": 16,
    "texture.lbp_method": "uniform",
    "optim.epochs": 1,
    "optim.batch_size": 8,
    "optim.warmup_epochs": 0,
}
FILES = {bundle.WEIGHTS, bundle.CONFIG, bundle.LABELS, bundle.PREPROCESSING, bundle.VALIDATION}
OLD_NAMES = ("lbp_method", "lbp_points", "lbp_radius", "ldp_k", "ldp_signed")  # once of `target`, now of `texture`


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The best checkpoints of two runs."""
    folder = tmp_path_factory.mktemp("trained")
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": np.arange(16) % 2}])
    for seed in (0, 1):
        config = build({**SMALL, "seed": seed})
        run = TrainingRun(config, TASK, rows, rows, Distributed(torch.device("cpu")), folder / str(seed))
        fit(run, lambda result: None)
    return [folder / str(seed) / BEST_CHECKPOINT for seed in (0, 1)]


def test_a_bundle_is_opened_as_what_was_trained(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES
    state, model = load_trained(trained[0])
    config, task, opened = open_bundle(tmp_path / "best")
    assert (config, task) == (state.config, state.task) == (build({**SMALL, "seed": 0}), TASK)
    weights = opened.state_dict()
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    kept = json.loads((tmp_path / "best" / bundle.VALIDATION).read_text())
    assert kept == state.result.to_json() and kept["epoch"] == 1


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_an_export_that_stops_leaves_each_file_whole(tmp_path, monkeypatch, trained, function, call):
    export(trained[0], tmp_path / "best")
    old = load_file(tmp_path / "best" / bundle.WEIGHTS)
    original, calls = getattr(os, function), iter(range(1, 100))

    def stopping(*args, **kwargs):
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, stopping)
        with pytest.raises(KeyboardInterrupt):
            export(trained[1], tmp_path / "best")
    weights = load_file(tmp_path / "best" / bundle.WEIGHTS)
    assert all(torch.equal(weights[name], old[name]) for name in old), "weights come last"
    for name in FILES - {bundle.WEIGHTS}:
        json.loads((tmp_path / "best" / name).read_text())
    export(trained[1], tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES
    assert open_bundle(tmp_path / "best")[0].seed == 1


def test_a_bundle_and_a_checkpoint_by_the_version_before_are_opened(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    config, _, _ = open_bundle(tmp_path / "best")
    path = tmp_path / "best" / bundle.CONFIG
    path.write_text(json.dumps(as_before(json.loads(path.read_text()))))
    assert open_bundle(tmp_path / "best")[0] == config

    tensors, state = checkpoint.load(trained[0])
    checkpoint.save(tmp_path / "old", tensors=tensors, state=state | {"config": as_before(state["config"])})
    assert load_trained(tmp_path / "old")[0].config == config


def as_before(config):
    """A configuration as the version before wrote it."""
    texture = {name: config["texture"][name] for name in OLD_NAMES}
    return {**{key: value for key, value in config.items() if key != "texture"}, "target": config["target"] | texture}


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no bundle of a winner; give the folder `best/` of a run"):
        open_bundle(tmp_path)


def test_the_command_refuses_bad_input_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--data", "synthetic"])
    assert evaluate.main() == 2
    assert capsys.readouterr().err.startswith(f"error: `{tmp_path}` is no bundle of a winner")


def test_evaluation_needs_neither_torch_nor_ray():
    code = (
        "import sys, lssat.evaluation.scorecard, lssat.evaluation.fairness; "
        "sys.exit(', '.join({'torch', 'ray', 'timm', 'optuna'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
