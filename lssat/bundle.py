"""The winner as a folder, a bundle: exported from a checkpoint, opened again, scored on a split."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lssat.config import Config, ConfigError, saved_config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import scorecard
from lssat.evaluation.units import RowTexts
from lssat.files import make_folder, sync, write_json, write_whole
from lssat.model import catalog
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task
from lssat.train.checkpoint import HALF_WRITTEN, write_tensors
from lssat.train.distributed import Distributed
from lssat.train.learner import load_trained
from lssat.train.scoring import predict_rows, score_predictions

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
LABELS = "labels.json"  # the task: its kind and classes
PREPROCESSING = "preprocessing.json"  # what an image must go through, for those who do without this package
VALIDATION = "validation.json"  # the epoch that was kept, as it was reported, and its tables by class
TEST = "test.json"  # the scorecard on the test split, which whoever opens that split adds


@dataclass(frozen=True)
class Bundle:
    """A winner, opened: its model, on the CPU, and the number of micro-batches with which it fitted into memory."""

    config: Config
    task: Task
    num_micro_batches: int
    model: LSSAT


class Scored(NamedTuple):
    """What a model got on a split, and what it said of each row."""

    result: dict[str, Any]
    predictions: Predictions


def export(trained: Path, bundle: Path, by_class: Mapping[str, Any] | None = None) -> None:
    """A `best` checkpoint -> a bundle, in the place of another, if any, whose test results go with it. `by_class`: its
    tables on validation (`evaluation.classes`), where its predictions are known.

    The old weights are deleted first and the new ones come last, so that a folder that has weights is a whole bundle,
    of one run, whenever this stops. Raises CheckpointError.
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
    weights = model.state_dict()
    make_folder(bundle)
    for old in (WEIGHTS, TEST):
        (bundle / old).unlink(missing_ok=True)
    for stale in bundle.glob(HALF_WRITTEN):
        stale.unlink()
    sync(bundle)  # both are gone before anything new is there
    write_json(bundle / CONFIG, config.model_dump())
    write_json(bundle / LABELS, state.task.to_json())
    write_json(bundle / PREPROCESSING, preprocessing)
    write_json(bundle / VALIDATION, {**state.result.to_json(), **(by_class or {})})
    write_whole(bundle / WEIGHTS, lambda temporary: write_tensors(weights, temporary))


def open_bundle(folder: Path) -> Bundle:
    """A bundle -> what it holds. Raises ConfigError where the folder is none, or damaged."""
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(
            f"`{folder}` is no bundle of a winner; give the folder `best/` of a run, or go on with the run by "
            "`--resume` where it was stopped before the bundle was whole"
        )
    with _damage_named(folder):
        config, task = saved_config(_read(folder / CONFIG)), Task.from_json(_read(folder / LABELS))
        num_micro_batches = int(_read(folder / VALIDATION)["micro_batches"])
        model = build_model(config, task.num_outputs, trained=True)
        model.load_state_dict(load_file(folder / WEIGHTS))
    return Bundle(config, task, num_micro_batches, model)


def score_bundle(bundle: Bundle, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> Scored:
    """The scorecard of a split (`lssat.evaluation.scorecard`).

    `texts`: as of `table.read_texts`, in the order of the rows; `subgroups` names the columns that tell groups apart.
    """
    config, task, alone = bundle.config, bundle.task, _this_machine()
    model = bundle.model.to(alone.device)
    predictions, _ = predict_rows(config, model, rows, alone, bundle.num_micro_batches)
    scores = score_predictions(config, task, predictions, RowTexts.of_columns(texts))
    metric = task.score_metric(config.objective.metric)
    return Scored(scorecard(task, metric, predictions, scores, RowTexts.of_columns(texts, subgroups)), predictions)


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> Scored:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by.

    `texts`: as of `score_bundle`. Raises CheckpointError.
    """
    state, model = load_trained(trained)
    config, alone = state.config, _this_machine()
    predictions, _ = predict_rows(config, model.to(alone.device), rows, alone, state.result.micro_batches)
    known = RowTexts.of_columns(texts, config.objective.subgroups)
    scores = score_predictions(config, state.task, predictions, known)
    metric = state.task.score_metric(config.objective.metric)
    return Scored({"metric": metric, "score": scores[metric], **scores}, predictions)


def _this_machine() -> Distributed:
    """One worker, on a GPU where there is one."""
    return Distributed(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def _damage_named(bundle: Path) -> Iterator[None]:
    """What goes wrong while a bundle is opened, as a ConfigError that names it and the repair."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        # RuntimeError: torch's of weights that do not fit the configuration
        raise ConfigError(
            f"the bundle in `{bundle}` is damaged ({textwrap.shorten(f'{type(error).__name__}: {error}', 300)}); copy "
            "it anew from the run that made it, or delete it there and go on with the run by `--resume`"
        ) from error


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
