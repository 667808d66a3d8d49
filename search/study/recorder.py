"""The driver writes what trials report: JSON lines, TensorBoard, outcomes. Trials themselves write checkpoints only."""

from __future__ import annotations

import io
import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ray.tune import Callback
from ray.tune.experiment import Trial
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lssat.config import build
from lssat.files import write_json, write_lines
from lssat.model import catalog
from search.report import leaderboard
from search.space.settings import SearchConfig
from search.strategy.searcher import verdict
from search.study.memory_kills import halve_if_killed
from search.study.progress import Progress

PREFIXES = ("train/", "val/")
COUNTS = ("epoch", "epochs", "parameters", "micro_batches")
ENDINGS = ("failed", "infeasible")  # results that say why a trial ends, instead of what it measured


class Recorder(Callback):  # type: ignore[misc]
    """Writes `<folder>/<stage>/<name>/` and `<folder>/tensorboard/<name>/` and feeds the progress display; `stage` is
    trials or finals.
    """

    def __init__(
        self, folder: Path, storage: Path, stage: str, search: SearchConfig, searched: Sequence[str], progress: Progress
    ) -> None:
        self._folder = folder / stage
        self._storage = storage / stage
        self._tensorboard = folder / "tensorboard"
        self._search = search
        self._searched = searched
        self._progress = progress
        self._writers: dict[str, SummaryWriter] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._recorded: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._before: dict[str, float] = {}  # seconds that a trial had run before it paused or was interrupted

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its callbacks; nothing reads those snapshots, and a terminal cannot be copied."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["name"]
        config = build(trial.config["config"])
        write_json(
            self._folder / name / "config.json",
            {"sampled": trial.config["config"], "resolved": config.flat(), "hash": config.hash()},
        )
        earlier = leaderboard.metrics(self._folder / name)
        if (
            self._folder / name / "metrics.jsonl"
        ).exists():  # without the line that a kill cut, or the next one would be joined to it
            write_lines(self._folder / name / "metrics.jsonl", earlier)
        self._last[name] = {}
        self._recorded[name] = earlier[-1]["epoch"] if earlier else 0
        self._started[name] = time.time()
        self._before[name] = earlier[-1].get("seconds", 0.0) if earlier else 0.0
        self._progress.started(name, config, self._recorded[name])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        name = trial.config["name"]
        measured = {key: value for key, value in result.items() if key.startswith(PREFIXES) or key in COUNTS}
        for ending in ENDINGS:
            if ending in result:
                self._last[name][ending] = result[ending]
                return
        self._last[name] = measured
        self._progress.reported(name, measured)
        if measured["epoch"] <= self._recorded[name]:  # a trial that goes on reports its last epoch again
            return
        self._recorded[name] = measured["epoch"]
        with (self._folder / name / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**measured, "time": round(time.time(), 3), "seconds": self._seconds(name)}) + "\n")
        self._draw(name, trial.config["config"], measured, result.get("panel"))
        result["panel"] = None  # Tune keeps the last result of every trial

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        halve_if_killed(trial, self._storage)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._finish(trial, error=False)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._finish(trial, error=True)

    def _finish(self, trial: Trial, error: bool) -> None:
        name = trial.config["name"]
        last = self._last.get(name, {})
        status = verdict(self._search, last, error).status
        if writer := self._writers.pop(name, None):
            writer.close()
        if status == "paused":
            self._progress.paused(name)
            return
        unsaid = (
            "its process died; see log.txt" if error else "an objective is not defined" if status == "failed" else ""
        )
        why = next((last[ending] for ending in ENDINGS if ending in last), unsaid)
        write_json(
            self._folder / name / "outcome.json", {"status": status, "reason": why, "seconds": self._seconds(name)}
        )
        shutil.rmtree(self._storage / name / "last", ignore_errors=True)  # optimiser state of a trial that is over
        shutil.rmtree(self._storage / name / "train", ignore_errors=True)
        self._progress.finished(name, status, why)

    def _seconds(self, name: str) -> float:
        """That a trial has run so far, pauses left out."""
        return round(self._before.get(name, 0.0) + time.time() - self._started.get(name, time.time()), 1)

    def _draw(self, name: str, sampled: Mapping[str, Any], measured: Mapping[str, Any], panel: bytes | None) -> None:
        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self._tensorboard / name))
            self._write_hparams(self._writers[name], sampled)
        writer, epoch = self._writers[name], measured["epoch"]
        for key, value in measured.items():
            if key.startswith(PREFIXES) and math.isfinite(value):
                writer.add_scalar(key, value, epoch)
        if panel:
            writer.add_image(
                "reconstruction", np.asarray(Image.open(io.BytesIO(panel)).convert("RGB")), epoch, dataformats="HWC"
            )
        writer.flush()

    def _write_hparams(self, writer: SummaryWriter, sampled: Mapping[str, Any]) -> None:
        """The searched settings as hyper-parameters, in the trial's own run; their metric is the objective, which each
        epoch writes.
        """
        config = build(sampled)
        values = {
            "backbone": catalog.architecture(config.backbone),
            **{key: config.flat()[key] for key in self._searched},
        }
        settings = {
            key: value if isinstance(value, bool | int | float) else str(value) for key, value in values.items()
        }
        for summary in hparams(settings, {"val/best": math.nan}):  # type: ignore[no-untyped-call]
            assert writer.file_writer is not None
            writer.file_writer.add_summary(summary)
