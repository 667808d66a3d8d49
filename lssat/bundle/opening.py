"""A bundle, opened: checked, and its model built."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lssat.bundle.folder import (
    CALIBRATION,
    CONFIG,
    HEAD,
    LABELS,
    PREPROCESSING,
    VALIDATION,
    WEIGHTS,
    check_files,
    located,
    read,
)
from lssat.config import Config, saved_config
from lssat.data.prepare.asked import Faces
from lssat.data.prepared.table import DatasetInfo
from lssat.errors import ConfigError
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task

ENCODER = "encoder.model."
"""How the names of timm's own tensors begin in an `LSSAT`."""


@dataclass(frozen=True)
class Bundle:
    """A winner, opened: its model, on the CPU, and the number of micro-batches with which it fitted into memory.

    `temperature`: what logits are divided by to be calibrated, 1 where none was fitted. `faces`: how pictures were
    prepared (`exporting`), empty where that is not on record. `notes`: what a person should know of its versions.
    `digest`: of all that decides its answers.
    """

    config: Config
    task: Task
    num_micro_batches: int
    model: LSSAT
    temperature: float
    faces: Mapping[str, Any]
    notes: tuple[str, ...]
    digest: str

    def check_same_task(self, data: DatasetInfo) -> None:
        """Raises ConfigError where data are of another task, or their faces were cut out by another rule."""
        task = self.task
        if (data.kind, data.classes) != (task.kind, task.classes):
            raise ConfigError(
                f"the bundle tells {', '.join(task.classes)} apart ({task.kind}), but the data hold "
                f"{', '.join(data.classes)} ({data.kind}); name data of the same task, or choose labels by `--task` "
                "and `--classes`"
            )
        if Faces.of(data).are_found and Faces.of(data).align != bool(self.faces.get("align")):
            trained = "turned upright" if self.faces.get("align") else "left as they stood"
            raise ConfigError(
                f"in training faces were {trained} (`data.align`), and those of `{data.source}` were not; prepare them "
                "anew from their source"
            )


def open_bundle(folder: Path) -> Bundle:
    """A bundle -> what it holds; one of the first format too. One that is replaced meanwhile is opened again.

    Raises ConfigError where it is none, or damaged.
    """
    while True:
        with _damage_named(folder):
            place = located(folder)
        try:
            bundle = _opened(place.path)
        except ConfigError:
            if located(folder) == place:
                raise
        else:
            if located(folder) == place:
                return bundle


def _opened(folder: Path) -> Bundle:
    if not os.path.isfile(folder / WEIGHTS):
        raise ConfigError(
            f"`{folder}` is no bundle of a winner; give the folder `best/` of a run, or go on with the run by "
            "`--resume` where it was stopped before the bundle was whole"
        )
    with _damage_named(folder):
        digest, notes = check_files(folder)
        config, task = saved_config(read(folder / CONFIG)), Task.from_json(read(folder / LABELS))
        num_micro_batches = int(read(folder / VALIDATION)["micro_batches"])
        model = build_model(config, task.num_outputs, trained=True)
        model.load_state_dict(_tensors(folder))
        is_calibrated = (folder / CALIBRATION).exists()
        temperature = float(read(folder / CALIBRATION)["temperature"]) if is_calibrated else 1.0
        faces = read(folder / PREPROCESSING).get("faces", {})
    return Bundle(config, task, num_micro_batches, model, temperature, faces, notes, digest)


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Those of an `LSSAT`."""
    weights = load_file(folder / WEIGHTS)
    if not (folder / HEAD).exists():
        return weights  # of the first format
    return {f"{ENCODER}{name}": tensor for name, tensor in weights.items()} | load_file(folder / HEAD)


@contextmanager
def _damage_named(bundle: Path) -> Iterator[None]:
    """What goes wrong while a bundle is opened, as a ConfigError that names it and the repair."""
    try:
        yield
    except ConfigError as error:
        if f"`{bundle}" in str(error):
            raise
        raise _damaged(bundle, error) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        # RuntimeError: torch's of weights that do not fit the configuration
        raise _damaged(bundle, error) from error


def _damaged(bundle: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"the bundle in `{bundle}` is damaged ({textwrap.shorten(f'{type(error).__name__}: {error}', 300)}); copy "
        "it anew from the run that made it, or delete it there and go on with the run by `--resume`"
    )
