"""The winner as a folder: exported from a checkpoint, opened again, scored on a split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lssat.config import Config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.metrics import Array
from lssat.evaluation.scorecard import scorecard
from lssat.model import catalog
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.scoring import evaluate, predict_rows, score_predictions


def export(trained: Path, bundle: Path) -> None:
    """A `best` checkpoint -> a bundle: `weights.safetensors`, `config.json`, `labels.json`, `preprocessing.json`,
    `validation.json`.
    """
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
    parts = {
        "config": state["config"],
        "labels": task.to_json(),
        "preprocessing": preprocessing,
        "validation": state["result"],
    }
    for name, part in parts.items():
        (bundle / f"{name}.json").write_text(json.dumps(part, indent=2) + "\n")


def open_bundle(bundle: Path) -> tuple[Config, Task, LSSAT]:
    """A bundle -> its configuration, task and trained model."""
    config = Config.model_validate_json((bundle / "config.json").read_text())
    task = Task.from_json(json.loads((bundle / "labels.json").read_text()))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict(load_file(bundle / "weights.safetensors"))
    return config, task, model


def score_bundle(bundle: Path, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is said of a split (`lssat.scorecard`); `texts` as of `table.read_texts`, in the order of the
    rows.
    """
    config, task, model = open_bundle(bundle)
    distributed = Distributed(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    micro_batches = json.loads((bundle / "validation.json").read_text())[
        "micro_batches"
    ]  # with which it fitted into memory
    logits, labels, _ = predict_rows(config, model.to(distributed.device), rows, distributed, micro_batches)
    scores = {
        name.removeprefix("test/"): value for name, value in score_predictions(task, logits, labels, "test").items()
    }
    return scorecard(task, task.score_metric(config.objective.metric), scores, logits, labels, texts, subgroups)


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> dict[str, Any]:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by."""
    tensors, state = checkpoint.load(trained)
    config, task = Config.model_validate(state["config"]), Task.from_json(state["task"])
    distributed = Distributed(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    groups = {name: texts[name] for name in config.objective.subgroups}
    measured = evaluate(
        config, task, model.to(distributed.device), rows, distributed, "test", groups, state["result"]["micro_batches"]
    )
    scores = {name.removeprefix("test/"): value for name, value in measured.items()}
    metric = task.score_metric(config.objective.metric)
    return {"metric": metric, "score": scores[metric], **scores}
