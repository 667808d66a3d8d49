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

from lssat import catalog
from lssat.config import build
from search import leaderboard
from search.progress import Progress
from search.searcher import verdict
from search.trial import trial_name

PREFIXES = ("train/", "val/")


class Recorder(Callback):  # type: ignore[misc]
    """Writes `trials/<id>/` and `tensorboard/<id>/` and feeds the progress display."""

    def __init__(self, folder: Path, storage: Path, searched: Sequence[str], progress: Progress) -> None:
        self._folder = folder
        self._storage = storage
        self._searched = searched
        self._progress = progress
        self._writers: dict[str, SummaryWriter] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._recorded: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its callbacks; nothing reads those snapshots, and a terminal cannot be copied."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial_name(trial.config["number"])
        config = build(trial.config["config"])
        write_json(self._folder / "trials" / name / "config.json", {"sampled": trial.config["config"], "resolved": config.flat(), "hash": config.hash()})
        earlier = leaderboard.metrics(self._folder / "trials" / name)
        self._last[name] = {}
        self._recorded[name] = earlier[-1]["epoch"] if earlier else 0
        self._started[name] = time.time()
        self._progress.started(name, config)

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        name = trial_name(trial.config["number"])
        measured = {key: value for key, value in result.items() if key.startswith(PREFIXES) or key in ("epoch", "epochs", "parameters", "failed")}
        if "failed" in result:
            self._last[name]["failed"] = result["failed"]
            return
        self._last[name] = measured
        self._progress.reported(name, measured)
        if measured["epoch"] <= self._recorded[name]:  # a trial that goes on reports its last epoch again
            return
        self._recorded[name] = measured["epoch"]
        with (self._folder / "trials" / name / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**measured, "time": round(time.time(), 3)}) + "\n")
        self._draw(name, measured, result.get("panel"))
        result["panel"] = None  # Tune keeps the last result of every trial

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._finish(trial, error=False)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._finish(trial, error=True)

    def _finish(self, trial: Trial, error: bool) -> None:
        name = trial_name(trial.config["number"])
        last = self._last.get(name, {})
        status = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}[verdict(last, error)[0].name]
        failed = last.get("failed") or ("its process died; see log.txt" if error else "")
        seconds = round(time.time() - self._started.get(name, time.time()), 1)
        write_json(self._folder / "trials" / name / "outcome.json", {"status": status, "reason": failed, "seconds": seconds})
        shutil.rmtree(self._storage / "trials" / name / "last", ignore_errors=True)  # optimiser state of a trial that is over
        shutil.rmtree(self._storage / "trials" / name / "train", ignore_errors=True)
        writer = self._writers.pop(name, None)
        if writer:
            self._write_hparams(writer, trial.config["config"], last)
            writer.close()
        self._progress.finished(name, status, failed)

    def _draw(self, name: str, measured: Mapping[str, Any], panel: bytes | None) -> None:
        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self._folder / "tensorboard" / name))
        writer, epoch = self._writers[name], measured["epoch"]
        for key, value in measured.items():
            if key.startswith(PREFIXES) and math.isfinite(value):
                writer.add_scalar(key, value, epoch)
        if panel:
            writer.add_image("reconstruction", np.asarray(Image.open(io.BytesIO(panel)).convert("RGB")), epoch, dataformats="HWC")
        writer.flush()

    def _write_hparams(self, writer: SummaryWriter, sampled: Mapping[str, Any], last: Mapping[str, Any]) -> None:
        """The searched settings as hyper-parameters, the objective as their metric, in the trial's own run."""
        config = build(sampled)
        values = {"backbone": catalog.architecture(config.backbone), **{key: config.flat()[key] for key in self._searched}}
        settings = {key: value if isinstance(value, bool | int | float) else str(value) for key, value in values.items()}
        for summary in hparams(settings, {"val/best": last.get("val/best", math.nan)}):  # type: ignore[no-untyped-call]
            assert writer.file_writer is not None
            writer.file_writer.add_summary(summary)
        if "val/best" in last:
            writer.add_scalar("val/best", last["val/best"], last["epoch"])


def write_json(path: Path, data: Any) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=2) + "\n")
    temporary.replace(path)
