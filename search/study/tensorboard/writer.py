"""Curves, pictures and settings of trials for TensorBoard, a run for each trial."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard import SummaryWriter

from lssat.config import Config
from lssat.errors import ConfigError
from lssat.files import make_folder
from lssat.model import catalog
from lssat.train.result import EpochResult
from search.record import predictions
from search.record.folder import Stage
from search.record.trials import Status, TrialRecord
from search.space.definition import Space
from search.strategy.suggestion import Suggestion
from search.study.tensorboard.event_file import NAME, png_summary, write_events
from search.study.tensorboard.judgement import judgement
from search.study.tensorboard.parts import TOTAL, tag
from search.study.tensorboard.table import Table, session_end, table_of

PANEL = "validation reconstruction"
BEGIN, END = f"{NAME}0.begin", f"{NAME}end"
"""What is written once a run. One name comes before and one after those of the curves, which go on with the time: a
TensorBoard that watches never goes back to a file.
"""


class TensorBoard:
    """Writes `<folder>/<search, baseline or final>/<name> <backbone>/`."""

    def __init__(self, folder: Path, stage: Stage, space: Space) -> None:
        self._folder = folder
        self._stage = stage
        self._space = space
        self._writers: dict[str, SummaryWriter] = {}
        self._has_failed = False

    def add(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Write the scalars of an epoch, and its panel if it is one of those that are kept."""
        if suggestion.name not in self._writers:
            place = self._place(suggestion.name, suggestion.config)
            if not (place / BEGIN).exists():
                write_events(place / BEGIN, [(0, _config_text(suggestion.config))])
            self._writers[suggestion.name] = SummaryWriter(str(place))
        writer = self._writers[suggestion.name]
        for key, value in result.scalars().items():
            if math.isfinite(value):
                writer.add_scalar(tag(key), value, result.epoch)
        if result.panel and _keeps_panel(result.epoch):
            assert writer.file_writer is not None, "the writer has been opened above"
            writer.file_writer.add_summary(png_summary(PANEL, result.panel), result.epoch)
        writer.flush()

    def close(self, name: str) -> None:
        """A trial has paused or ended."""
        if writer := self._writers.pop(name, None):
            writer.close()

    def end(self, record: TrialRecord) -> None:
        """Add what is known of a run once it is over; of one that has it already, nothing.

        What goes wrong there is said in the log, once: pictures for people must not end a search. A disk that is full
        or gone ends it as it does elsewhere.
        """
        try:
            place = self._place(record.name, record.config)
            if not (place / END).exists():
                write_events(place / END, self._ending(record))
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # that of a damaged picture has no number
                raise
            if not self._has_failed:
                logging.getLogger(__name__).exception(
                    "TensorBoard lacks how a run ended, %s and maybe more", record.name
                )
            self._has_failed = True

    def _ending(self, record: TrialRecord) -> Iterator[tuple[int, Any]]:
        """Its row of the table, its totals, its last panel, and how a finalist judges the validation rows."""
        yield 0, self._table.experiment(record.config)
        yield 0, self._table.row(self._stage, record)
        yield 0, session_end(record.status, record.span[1] if record.span else None)
        last = record.last
        if last is None:
            return
        for name, total in (("epochs", last.epoch), ("parameters", last.parameters), ("seconds", record.seconds)):
            yield last.epoch, scalar_pb(f"{TOTAL}/{name}", total)
        if record.panel.exists() and not _keeps_panel(last.epoch):
            yield last.epoch, png_summary(PANEL, record.panel.read_bytes())
        if self._stage is Stage.FINAL and record.status == Status.COMPLETE:
            for summary in _judged(record):
                yield record.best_epoch, summary

    @cached_property
    def _table(self) -> Table:
        return table_of(self._space)

    def _place(self, name: str, config: Config) -> Path:
        """The folder of a run, which TensorBoard shows as its name."""
        backbone = catalog.architecture(config.backbone).replace("/", "-")
        place = self._folder / self._stage.name.lower() / f"{name} {backbone}"
        before = self._folder / name  # where the version before wrote
        if before.is_dir() and not place.exists():
            make_folder(place.parent)
            before.rename(place)
        return place


def _keeps_panel(epoch: int) -> bool:
    """Panels are large, and TensorBoard shows ten of a run: those of epoch 1, 2, 4, 8 and so on, and the last."""
    return epoch & (epoch - 1) == 0


def _config_text(config: Config) -> Any:
    """All settings as YAML, in a block of code."""
    return text_pb("config", f"```yaml\n{yaml.safe_dump(config.flat(), sort_keys=False)}```")


def _judged(record: TrialRecord) -> list[Any]:
    """Nothing where its predictions are lacking; a report says so."""
    try:
        return list(judgement(predictions.read(record.predictions("val"))))
    except ConfigError:
        return []
