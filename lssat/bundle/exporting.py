"""A `best` checkpoint -> a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from lssat.bundle.card import model_card
from lssat.bundle.folder import (
    CALIBRATION,
    CARD,
    CONFIG,
    FILES,
    HEAD,
    LABELS,
    ONNX,
    ONNX_WEIGHTS,
    PREPROCESSING,
    TEST,
    VALIDATION,
    WEIGHTS,
    check_files,
    read,
    replace_whole,
)
from lssat.bundle.opening import ENCODER
from lssat.config import Config
from lssat.data.prepare.asked import Faces, describe, detector_of
from lssat.data.prepared.table import DatasetInfo, read_info, read_texts
from lssat.errors import ConfigError
from lssat.evaluation.calibration import calibration
from lssat.evaluation.classes import tables_by_class
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.files import write_json, write_text, write_whole
from lssat.model import catalog
from lssat.model.encoders.base import Encoder
from lssat.model.encoders.build import timm_options
from lssat.settings.data import DataConfig
from lssat.train.checkpoint import write_tensors
from lssat.train.learner import load_predictions, load_trained
from lssat.train.step import draws_evenly


def export(trained: Path, bundle: Path, prepared: Path | None = None) -> None:
    """Put the bundle of a `best` checkpoint in the place of another, if any, whose test results go with it.

    `prepared`: the data that it was trained on; without them pictures count as kept whole, validation has no tables by
    class, and where values are held out there is no temperature. These come from the predictions that the checkpoint
    keeps, of which one by an older version has none. A kill leaves the old bundle or the new one. Raises
    CheckpointError.
    """
    state, model = load_trained(trained)
    info = read_info(prepared) if prepared else None
    said = _on_validation(trained, prepared, state.config.data)

    def write(folder: Path) -> None:
        _write_tensors(folder, model.state_dict())
        write_json(folder / CONFIG, state.config.model_dump())
        write_json(folder / LABELS, state.task.to_json())
        write_json(folder / PREPROCESSING, _preprocessing(state.config, model.encoder, info))
        by_class = tables_by_class(state.task, *said) if said and prepared else {}
        write_json(folder / VALIDATION, {**state.result.to_json(), **by_class})
        if said:
            evenly = state.config.optim.class_balanced or draws_evenly(state.config, state.task)
            write_json(folder / CALIBRATION, calibration(state.task, *said, evenly))
        _write_card(folder)

    replace_whole(bundle, write)


def add_test(bundle: Path, scorecard: Mapping[str, Any]) -> None:
    """Put the scorecard on the test split into a bundle and its card; a kill leaves the bundle with it or without."""
    _change(bundle, lambda folder: write_json(folder / TEST, scorecard))


def add_onnx(bundle: Path, files: Sequence[Path], digest: str) -> None:
    """Put copies of the files of an ONNX model into the bundle that has this digest, in the place of an earlier one's;
    a kill leaves it with all of these or of those. Raises ConfigError where another bundle has taken its place.
    """

    def copy(folder: Path) -> None:
        if check_files(bundle).digest != digest:
            raise ConfigError(f"`{bundle}` holds another winner than it did at the start; give the command once more")
        for name in (ONNX, ONNX_WEIGHTS):
            (folder / name).unlink(missing_ok=True)
        for file in files:
            shutil.copyfile(file, folder / file.name)

    _change(bundle, copy)


def _change(bundle: Path, change: Callable[[Path], object]) -> None:
    def write(folder: Path) -> None:
        for path in (bundle / name for name in FILES):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        change(folder)
        _write_card(folder)

    replace_whole(bundle, write)


def _write_card(folder: Path) -> None:
    """The card, from what else is in the folder."""
    names = (CONFIG, LABELS, PREPROCESSING, VALIDATION, CALIBRATION, TEST)
    known = {name.removesuffix(".json"): read(folder / name) for name in names if (folder / name).exists()}
    write_text(folder / CARD, model_card(known))


def _write_tensors(folder: Path, tensors: dict[str, Tensor]) -> None:
    encoder = {name.removeprefix(ENCODER): value for name, value in tensors.items() if name.startswith(ENCODER)}
    rest = {name: value for name, value in tensors.items() if not name.startswith(ENCODER)}
    write_whole(folder / WEIGHTS, lambda temporary: write_tensors(encoder, temporary))
    write_whole(folder / HEAD, lambda temporary: write_tensors(rest, temporary))


def _on_validation(trained: Path, prepared: Path | None, data: DataConfig) -> tuple[Predictions, RowTexts] | None:
    """What the checkpoint says of the validation rows that its score is of, at its epoch and so by these weights, and
    what is known of them. None where a version before kept no predictions, or only the data tell which rows these are.
    """
    kept = load_predictions(trained)
    if kept is None or (prepared is None and data.hold_out):
        return None
    predictions, positions = kept[1]
    if prepared is None:
        nothing = np.full(len(positions), "")
        return predictions, RowTexts(nothing, nothing, {})
    texts = RowTexts.of_columns(read_texts(prepared, "val"), (), data.hold_out).of(positions)
    domains = texts.domains(data.held_out, predictions.labels)
    return (predictions.of(domains.held_out), texts.of(domains.held_out)) if domains else (predictions, texts)


def _preprocessing(config: Config, encoder: Encoder, info: DatasetInfo | None) -> dict[str, Any]:
    return {
        "image_size": config.data.image_size,
        "resize": "bilinear, to a square",
        "scale": "pixels / 255",
        "stream": config.classified_stream,
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
        "backbone": catalog.architecture(config.backbone),
        "timm_options": timm_options(config),
        "pooling": config.head.pooling,
        "source": Path(info.source).name if info else None,
        "faces": describe(Faces.of(info), detector_of(info)) if info else describe(Faces()),
    }
