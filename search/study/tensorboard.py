"""Curves, pictures and settings of trials for TensorBoard, a run for each trial."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lssat.files import make_folder
from lssat.model import catalog
from lssat.train.result import BEST, EpochResult
from search.findings.leaderboard import streams_of
from search.record.folder import Stage
from search.space.definition import is_read_without_auxiliary
from search.strategy.suggestion import Suggestion

STAGES = {Stage.SEARCH: "search", Stage.BASELINE: "baseline", Stage.FINAL: "final"}


class TensorBoard:
    """Writes `<folder>/<search, baseline or final>/<name> <backbone>/`. `searched`: keys that are hyper-parameters."""

    def __init__(self, folder: Path, stage: Stage, searched: list[str]) -> None:
        self._folder = folder
        self._stage = stage
        self._searched = searched
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Write the scalars of an epoch, and its panel."""
        if suggestion.name not in self._writers:
            self._writers[suggestion.name] = SummaryWriter(str(self._place(suggestion)))
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

    def _place(self, suggestion: Suggestion) -> Path:
        """The folder of a run, which TensorBoard shows as its name."""
        backbone = catalog.architecture(suggestion.config.backbone).replace("/", "-")
        place = self._folder / STAGES[self._stage] / f"{suggestion.name} {backbone}"
        before = self._folder / suggestion.name  # where the version before wrote
        if before.is_dir() and not place.exists():
            make_folder(place.parent)
            before.rename(place)
        return place

    def _add_hparams(self, suggestion: Suggestion) -> None:
        """The searched settings as hyper-parameters, in the trial's own run. Their metric is the best score, which each
        epoch writes.
        """
        shown = shown_settings(suggestion, self._searched)
        file = self._writers[suggestion.name].file_writer
        assert file is not None, "the writer has just been opened"
        for summary in hparams(shown, {BEST: math.nan}):
            file.add_summary(summary)


def shown_settings(suggestion: Suggestion, searched: list[str]) -> dict[str, bool | int | float | str]:
    """The backbone, and the searched settings that a run trains with: without an auxiliary task none of that task."""
    config = suggestion.config
    settings = config.flat()
    found = {key: settings[key] for key in searched if key in suggestion.sampled}
    if not config.trains_auxiliary:
        instead = {"aux_weight": 0.0, "streams": streams_of(config)}
        read = {key: value for key, value in found.items() if is_read_without_auxiliary(key, config.streams)}
        found = read | {key: value for key, value in instead.items() if key in searched}
    found = {"backbone": catalog.architecture(config.backbone), **found}
    return {key: value if isinstance(value, bool | int | float) else str(value) for key, value in found.items()}
