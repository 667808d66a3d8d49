"""Whole studies as they lie on disk when they end, made without training: curves, predictions, a final stage, test."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from PIL import Image

from lssat.config import build
from lssat.data.prepared.table import DatasetInfo, Row, read_info, read_texts
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation.metrics import evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import scorecard
from lssat.evaluation.units import RowTexts
from lssat.files import write_json
from lssat.storage.place import Place
from lssat.train.result import EpochResult
from search.findings import final_table, leaderboard, winner
from search.record import predictions
from search.record.folder import RunFolder, Stage, Storage
from search.record.manifest import Manifest, new_manifest
from search.record.trials import Outcome, Status, TrialRecord
from search.space.file import load
from search.strategy.baselines import Baselines
from search.strategy.searcher import STATES, open_study
from search.study.context import split_texts
from search.study.session import _summary

ROOT = Path(__file__).resolve().parents[2]
METRIC = "macro_f1"
CLASSES = ("calm", "glad", "sad")


@dataclass(frozen=True)
class Made:
    """A study that is made. `units`: images of validation, and of test. `ends`: after which stage the last session
    ended; None: with a winner. `cut_to`: the seeds that `--hours` left of the final stage.
    """

    trials: int = 18
    epochs: int = 4
    units: int = 120
    classes: tuple[str, ...] = CLASSES
    seeds: int = 3
    supervised: str = "inherited"
    ends: Stage | None = None
    cut_to: int | None = None
    reason: str = "NonFiniteLoss: no"


def faces(folder: Path, made: Made) -> Path:
    """Prepared data of pictures of noise, in a folder."""
    info = DatasetInfo(
        str(folder / "faces.csv"), "mood", "multiclass", made.classes, synthetic=False, fingerprint="made"
    )
    write_dataset(folder / "faces", _rows(made), info)
    return folder / "faces"


def _rows(made: Made) -> Iterator[Row]:
    generator = np.random.default_rng(0)
    for split, count in {"train": 40, "val": made.units, "test": made.units}.items():
        for row in range(count):
            out, label = io.BytesIO(), row % len(made.classes)
            pixels = generator.integers(0, 60, (48, 48, 3)) + 60 * (label % 3)
            Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG")
            yield Row(out.getvalue(), label, identity="", split=split)


def study(path: Path, made: Made, prepared: Path) -> RunFolder:
    """A study of these data in a run folder."""
    folder, maker = RunFolder(path), _Maker(made, prepared)
    path.mkdir(parents=True)
    manifest = maker.manifest(folder)
    searched = open_study(folder.study_db, folder.name, manifest.space)
    searched.sampler = optuna.samplers.RandomSampler(seed=0)
    for number in range(made.trials):
        trial, status = searched.ask(), ENDINGS[number % len(ENDINGS)]
        sampled = {**manifest.space.sample(trial), "optim.epochs": made.epochs, "seed": number}
        last = maker.run(folder.record(Stage.SEARCH, f"{number:04d}"), sampled, status)
        trial.report(last.best, last.epoch)
        searched.tell(trial, last.best if status is Status.COMPLETE else None, state=STATES[status])
    rows = leaderboard.of_folder(folder)
    leaderboard.write(rows, folder)
    if made.ends is Stage.SEARCH:
        return folder
    search = manifest.space.search.model_copy(update={"final_seeds": made.cut_to or made.seeds})
    manifest.begin_final_stage(search)
    for one in Baselines(folder, search).runs(final_table.planned_finalists(folder, rows, search), manifest.space):
        maker.run(folder.record(Stage.BASELINE, one.name), one.sampled, Status.COMPLETE)
    runs = final_table.planned_runs(folder, rows, search)
    for one in runs:
        maker.run(folder.record(Stage.FINAL, one.name), one.suggestion.sampled, Status.COMPLETE)
    if made.ends is None:
        maker.open_test(folder, manifest, [one.name for one in runs], winner.chosen(folder, rows, runs).run)
    return folder


ENDINGS = (Status.COMPLETE, Status.STOPPED, Status.COMPLETE, Status.FAILED, Status.COMPLETE, Status.INFEASIBLE)
"""Of the trials, one after the other."""


class _Maker:
    def __init__(self, made: Made, prepared: Path) -> None:
        self.made, self.prepared, self.info = made, prepared, read_info(prepared)
        self.task, self.generator = self.info.as_task, np.random.default_rng(1)

    def manifest(self, folder: RunFolder) -> Manifest:
        made, info = self.made, self.info
        search = {"num_trials": made.trials, "finalists": 2, "final_seeds": made.seeds, "supervised": made.supervised}
        space = load(ROOT / "spaces" / "backbones.yaml", "laptop", {"data.source": info.source}, search)
        fresh = new_manifest(folder, space, {**_summary(info), "prepared": str(self.prepared)}, ROOT)
        return fresh.begin_session(Storage(Place.of(folder.path)), space, info.source)

    def run(self, record: TrialRecord, sampled: dict, status: Status) -> EpochResult:
        """A run that learns, whose last epoch is its best. Its score is that of its predictions."""
        made, config = self.made, build(sampled)
        record = record.begin(sampled, config)
        kept = self._kept("val", easy=0.5 + self.generator.random())
        score = evaluate_scores("multiclass", *kept.predictions)[METRIC]
        last = made.epochs if status is Status.COMPLETE else made.epochs // 2
        with (record.folder / "metrics.jsonl").open("w") as file:  # one write and no fsync: a benchmark makes 25,000
            for at in range(1, last + 1):
                line = self._epoch(at, score * (1 - 0.5 * (made.epochs - at) / made.epochs)).to_json()
                file.write(json.dumps({**line, "time": 1.8e9 + at, "seconds": 2.0 * at}) + "\n")
        is_bad = status in (Status.FAILED, Status.INFEASIBLE)
        record.end(Outcome(status, made.reason if is_bad else "", 2.0 * last))
        if status is Status.COMPLETE:
            predictions.write(record.predictions("val"), kept)
        return record.last

    def open_test(self, folder: RunFolder, manifest: Manifest, names: list[str], chosen: str) -> None:
        """Score the runs of the final stage, as the end of a study does."""
        manifest.open_test(chosen)
        results, known = {}, RowTexts.of_columns(read_texts(self.prepared, "test"))
        for name in names:
            kept = self._kept("test", easy=1.0)
            predictions.write(folder.record(Stage.FINAL, name).predictions("test"), kept)
            scores = evaluate_scores("multiclass", *kept.predictions)
            if name == chosen:
                results[name] = scorecard(self.task, METRIC, kept.predictions, scores, known)
                write_json(folder.bundle / "test.json", results[name])
            else:
                results[name] = {"metric": METRIC, "score": scores[METRIC], **scores}
        manifest.record_test(results)
        manifest.end_session()

    def _epoch(self, at: int, score: float) -> EpochResult:
        loss = float(2 / at + self.generator.random())
        metrics = {"train/task_loss": loss, "train/lr": 1e-3 / at, "train/images_per_s": 100.0, "val/accuracy": score}
        metrics |= {"train/reconstruction_loss": loss / 9, "val/task_loss": loss * 1.1, f"val/{METRIC}": score}
        return EpochResult(at, self.made.epochs, score, score, 1_000_000, 1, metrics, flops=40_000_000)

    def _kept(self, split: str, easy: float) -> predictions.KeptPredictions:
        """What somebody says who sees the classes dimly."""
        count, classes = self.made.units, len(self.info.classes)
        labels = np.arange(count) % classes
        logits = self.generator.normal(size=(count, classes)) + 2 * easy * np.eye(classes)[labels]
        texts = split_texts(self.prepared, split)
        found = Predictions(logits.astype(np.float32), labels)
        return predictions.joined(texts, self.task, build({}), found, range(count))
