"""Curves, pictures and settings of trials for TensorBoard, a run for each trial."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lssat.model import catalog
from lssat.train.result import BEST, EpochResult
from search.strategy.suggestion import Suggestion


class TensorBoard:
    """Writes `<folder>/<name>/`. `searched`: the keys that are shown as hyper-parameters."""

    def __init__(self, folder: Path, searched: list[str]) -> None:
        self._folder = folder
        self._searched = searched
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Write the scalars of an epoch, and its panel."""
        if suggestion.name not in self._writers:
            self._writers[suggestion.name] = SummaryWriter(str(self._folder / suggestion.name))
            self._add_hparams(suggestion)
        writer = self._writers[suggestion.name]
        for key, value in result.scalars().items():
            if math.isfinite(value):
                writer.add_scalar(key, value, result.epoch)
        if result.panel:
            picture = np.asarray(Image.open(io.BytesIO(result.panel)).convert("RGB"))
            writer.add_image("reconstruction", picture, result.epoch, dataformats="HWC")
        writer.flush()

    def close(self, name: str) -> None:
        """A trial has paused or ended."""
        if writer := self._writers.pop(name, None):
            writer.close()

    def _add_hparams(self, suggestion: Suggestion) -> None:
        """The searched settings as hyper-parameters, in the trial's own run. Their metric is the best score, which each
        epoch writes.
        """
        settings = suggestion.config.flat()
        found = {
            "backbone": catalog.architecture(suggestion.config.backbone),
            **{key: settings[key] for key in self._searched},
        }
        shown = {key: value if isinstance(value, bool | int | float) else str(value) for key, value in found.items()}
        file = self._writers[suggestion.name].file_writer
        assert file is not None, "the writer has just been opened"
        for summary in hparams(shown, {BEST: math.nan}):
            file.add_summary(summary)
