"""What runs say of each validation image: their kept predictions, read once for all sections of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lssat.errors import ConfigError
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts, score_units, scores_videos
from lssat.task import Task
from search.findings.winner import Chosen
from search.record.folder import RunFolder, Stage
from search.record.predictions import KeptPredictions, read_of
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import FinalRun

ROW = "row"


@dataclass(frozen=True)
class Units:
    """What is scored as one, images or videos, with what a run says of each.

    metric: by which runs are ranked, or their groups of people where the worst of these counts. rows [N]: where in the
    split each is; of a video its first frame. texts [N]: as of the predictions. of_rows: what the run says of each row,
    in the order of the split; `row_texts` are theirs. scored_rows: those that are scored, where values are held out.
    """

    task: Task
    metric: str
    predictions: Predictions
    rows: Array
    texts: RowTexts
    of_rows: Predictions
    row_texts: RowTexts
    scored_rows: Array

    @classmethod
    def of(cls, kept: KeptPredictions) -> Units:
        """As the study scores them."""
        task, (predictions, texts), rows = kept.about.scored_task, (kept.predictions, kept.texts), kept.scored_rows
        numbered = replace(texts, groups={**texts.groups, ROW: np.arange(len(predictions.labels))})
        units, known = score_units(task, predictions.of(rows), numbered.of(rows))
        metric = task.group_metric(kept.about.metric)
        return cls(task, metric, units, known.groups[ROW], known, predictions, texts, rows)

    @property
    def are_videos(self) -> bool:
        """Whether rows are frames of what is scored."""
        return scores_videos(self.task, self.row_texts)

    @property
    def called(self) -> str:
        """What they are, in a word."""
        return "videos" if self.are_videos else "images"

    def frames(self, unit: int) -> Array:
        """The rows of a unit."""
        row = self.rows[unit]
        if not self.are_videos or self.row_texts.video[row] == "":
            return np.array([row])
        same = (self.row_texts.video == self.row_texts.video[row]) & (self.of_rows.labels == self.of_rows.labels[row])
        return np.flatnonzero(same)


@dataclass(frozen=True)
class Predicted:
    """run: the one that validation chose, or that leads so far. of_run: its units; None where `lacking` says why.
    finals: those of all complete runs of the final stage, by their names, that have predictions of the same units.
    file: of the run, in the run folder.
    """

    run: str
    of_run: Units | None
    finals: Mapping[str, Units]
    lacking: str = ""
    file: str = ""

    @classmethod
    def of(cls, folder: RunFolder, chosen: Chosen | None, runs: Sequence[FinalRun], data: str) -> Predicted:
        """`data`: the fingerprint of the data of the study. Every file is read once."""
        if chosen is None:
            return cls("", None, {}, "no run has had its full budget yet")
        found: dict[str, Units] = {}
        lacking: dict[str, str] = {}
        finals = [folder.record(Stage.FINAL, run.name) for run in runs]
        complete = [record for record in finals if record.status == Status.COMPLETE]
        own = folder.record(chosen.stage, chosen.run)
        for record in [own, *(each for each in complete if each.name != own.name)]:
            try:
                found[record.name] = Units.of(_read(record, data))
            except ConfigError as error:
                lacking[record.name] = str(error)
        of_run = found.get(own.name)
        names = [record.name for record in complete if record.name in found]
        first = found[names[0]] if names else None
        alike = {name: found[name] for name in names if first and _are_of_the_same(first, found[name])}
        file = own.predictions("val").relative_to(folder.path).as_posix()
        return cls(own.name, of_run, alike, lacking.get(own.name, ""), file)


def _read(record: TrialRecord, data: str) -> KeptPredictions:
    kept = read_of(record)
    if kept.about.data != data:
        raise ConfigError(f"the kept predictions of run {record.name} are of other data than the study's")
    return kept


def _are_of_the_same(one: Units, other: Units) -> bool:
    return np.array_equal(one.rows, other.rows) and np.array_equal(one.predictions.labels, other.predictions.labels)
