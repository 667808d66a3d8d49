"""A trained winner: the bundle that is kept of it, and its score on a split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lssat import catalog, checkpoint
from lssat.config import Config
from lssat.data.rows import Rows
from lssat.loop import Place, evaluate
from lssat.model import LSSAT, build_model
from lssat.task import Task


def export(trained: Path, bundle: Path) -> None:
    """A `best` checkpoint -> a bundle: `weights.safetensors`, `config.json`, `labels.json`, `preprocessing.json`."""
    tensors, state = checkpoint.load(trained)
    config, task = Config.model_validate(state["config"]), Task.from_json(state["task"])
    encoder = build_model(config, task.num_outputs, trained=True).encoder
    preprocessing = {
        "image_size": config.data.image_size,
        "resize": "bilinear, to a square",
        "scale": "pixels / 255",
        "stream": config.classified_stream,
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
        "backbone": catalog.architecture(config.backbone),
    }
    bundle.mkdir(parents=True, exist_ok=True)
    save_file({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, bundle / "weights.safetensors")
    parts = {"config": state["config"], "labels": task.to_json(), "preprocessing": preprocessing, "validation": state["result"]}
    for name, part in parts.items():
        (bundle / f"{name}.json").write_text(json.dumps(part, indent=2) + "\n")


def open_bundle(bundle: Path) -> tuple[Config, Task, LSSAT]:
    """A bundle -> its configuration, task and trained model."""
    config = Config.model_validate_json((bundle / "config.json").read_text())
    task = Task.from_json(json.loads((bundle / "labels.json").read_text()))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict(load_file(bundle / "weights.safetensors"))
    return config, task, model


def score_bundle(bundle: Path, rows: Rows) -> dict[str, Any]:
    """All metrics of the task on a split, and under `score` the one the study selects by."""
    config, task, model = open_bundle(bundle)
    place = Place(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    measured = evaluate(config, task, model.to(place.device), rows, place, prefix="test")
    metric = task.score_metric(config.objective.metric)
    return {"metric": metric, "score": measured[f"test/{metric}"], **{name.removeprefix("test/"): value for name, value in measured.items()}}
