"""The winner as a folder, a bundle: exported from a checkpoint, opened again, scored on a split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lssat.config import Config, ConfigError, saved_config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.metrics import Array
from lssat.evaluation.scorecard import RowTexts, scorecard
from lssat.files import sync, write_json
from lssat.model import catalog
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import load_trained
from lssat.train.scoring import predict_rows, score_predictions

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
LABELS = "labels.json"  # the task: its kind and classes
PREPROCESSING = "preprocessing.json"  # what an image must go through, for those who do without this package
VALIDATION = "validation.json"  # the epoch that was kept, as it was reported
TEST = "test.json"  # the scorecard on the test split, which whoever opens that split adds


def export(trained: Path, bundle: Path) -> None:
    """A `best` checkpoint -> a bundle. Each file is on disk whole or not at all; weights come last, so that a folder
    that has them is a whole bundle. Raises CheckpointError.
    """
    state, model = load_trained(trained)
    config, encoder = state.config, model.encoder
    preprocessing = {
        "image_size": config.data.image_size,
        "resize": "bilinear, to a square",
        "scale": "pixels / 255",
        "stream": config.classified_stream,
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
        "backbone": catalog.architecture(config.backbone),
    }
    write_json(bundle / CONFIG, config.model_dump())
    write_json(bundle / LABELS, state.task.to_json())
    write_json(bundle / PREPROCESSING, preprocessing)
    write_json(bundle / VALIDATION, state.result.to_json())
    _write_tensors(bundle / WEIGHTS, model.state_dict())


def check_bundle(folder: Path) -> None:
    """Raises ConfigError for a folder that is no bundle."""
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"`{folder}` is no bundle of a winner; give the folder `best/` of a run")


def open_bundle(bundle: Path) -> tuple[Config, Task, LSSAT]:
    """A bundle -> its configuration, task and trained model, on the CPU. Raises ConfigError for another folder."""
    check_bundle(bundle)
    config = saved_config(_read(bundle / CONFIG))
    task = Task.from_json(_read(bundle / LABELS))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict(load_file(bundle / WEIGHTS))
    return config, task, model


def score_bundle(bundle: Path, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is said of a split (`lssat.evaluation.scorecard`).

    `texts`: as of `table.read_texts`, in the order of the rows; `subgroups` names the columns that tell groups apart.
    """
    config, task, model = open_bundle(bundle)
    num_micro_batches = _read(bundle / VALIDATION)["micro_batches"]  # with these it fitted into memory
    alone = _this_machine()
    predictions, _ = predict_rows(config, model.to(alone.device), rows, alone, num_micro_batches)
    scores = score_predictions(config, task, predictions)
    metric = task.score_metric(config.objective.metric)
    return scorecard(task, metric, predictions, scores, RowTexts.of(texts, subgroups))


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> dict[str, Any]:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by.

    `texts`: as of `score_bundle`. Raises CheckpointError.
    """
    state, model = load_trained(trained)
    config, alone = state.config, _this_machine()
    predictions, _ = predict_rows(config, model.to(alone.device), rows, alone, state.result.micro_batches)
    groups = {name: texts[name] for name in config.objective.subgroups}
    scores = score_predictions(config, state.task, predictions, groups)
    metric = state.task.score_metric(config.objective.metric)
    return {"metric": metric, "score": scores[metric], **scores}


def _this_machine() -> Distributed:
    """One worker, on a GPU where there is one."""
    return Distributed(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Put a safetensors file in the place of another, if any."""
    temporary = path.with_name(f".{path.name}.tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
