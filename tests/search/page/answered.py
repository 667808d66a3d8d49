"""Studies whose final runs say what a test wants of each validation row; pictures are of one colour each."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lssat.data.prepared.table import DatasetInfo, Row, read_texts
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation.metrics import evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import scorecard
from lssat.evaluation.units import RowTexts
from lssat.storage.place import Place
from lssat.task import Task
from search.findings import final_table, leaderboard, winner
from search.page.document import Picture, Section, Statement, Table
from search.page.sections.faces.sheet import COLUMNS, GAP, LINE, SIDE
from search.page.study import StudyOnPage, read_study
from search.record import predictions
from search.record.folder import RunFolder, Stage, Storage
from search.record.manifest import new_manifest
from search.record.predictions import About, KeptPredictions
from search.space.file import load
from tests.search.records import epoch, record

ROOT = Path(__file__).resolve().parents[3]
KINDS = {
    "hue": ("multiclass", ("a", "b", "c"), "macro_f1"),
    "male": ("binary", ("0", "1"), "balanced_accuracy"),
    "traits": ("multilabel", ("hat", "beard"), "balanced_accuracy"),
    "deepfake": ("binary", ("real", "fake"), "auc"),
}
ROWS = 600
"""Of validation: in three row groups."""
FRAMES = 4
"""Of each video of the task deepfake; half of the videos are fakes."""


@dataclass(frozen=True)
class Answers:
    """said: the logits of the final runs [ROWS, K], the best run first; further runs say the same again. auxiliary:
    whether they rebuild.
    """

    task: str
    said: Sequence[np.ndarray]
    is_tested: bool = False
    is_synthetic: bool = False
    auxiliary: bool = False


def labels(task: str) -> np.ndarray:
    """What is true of each row."""
    rows = np.arange(ROWS)
    if task == "traits":
        return np.stack([rows % 2, rows // 2 % 2], axis=1)
    return rows // FRAMES % 2 if task == "deepfake" else rows % (3 if task == "hue" else 2)


def right(task: str, sure: float = 1.0) -> np.ndarray:
    """The logits of who is right about each row, and as sure as that."""
    true = labels(task)
    if task == "hue":
        return sure * np.eye(3)[true]
    return sure * (2.0 * true.reshape(ROWS, -1) - 1)


def colour(row: int) -> tuple[int, int, int]:
    """Of the picture of a row of validation."""
    return row % 9 * 28, row // 9 % 9 * 28, row // 81 * 28


def study(tmp_path: Path, answers: Answers) -> StudyOnPage:
    """The study, finished, on disk and read again."""
    kind, classes, metric = KINDS[answers.task]
    prepared, folder = tmp_path / "prepared", RunFolder(tmp_path / "results" / "made")
    info = _write_data(prepared, answers)
    folder.path.mkdir(parents=True)
    search = {"finalists": 1, "final_seeds": max(2, len(answers.said))}
    space = load(ROOT / "spaces" / "backbones.yaml", "laptop", {"data.source": info.source}, search)
    data = {name: getattr(info, name) for name in ("source", "synthetic", "task", "rows", "fingerprint")}
    manifest = new_manifest(folder, space, {**data, "rejects": 0, "prepared": str(prepared)}, ROOT)
    manifest = manifest.begin_session(Storage(Place.of(folder.path)), space, info.source)
    sampled = {"backbone.name": "test_resnet", "optim.epochs": 1, "auxiliary": answers.auxiliary, "seed": 0}
    record(folder.record(Stage.SEARCH, "0000").folder, sampled, [epoch(1, 0.5, 1)], "complete")
    rows = leaderboard.of_folder(folder)
    runs = final_table.planned_runs(folder, rows, space.search)
    texts = _row_texts(prepared, "val", answers.task)
    about = About(answers.task, kind, classes, metric, "val", info.fingerprint)
    for place, run in enumerate(runs):
        said = answers.said[place % len(answers.said)].astype(np.float32)
        found = record(
            folder.record(Stage.FINAL, run.name).folder,
            run.suggestion.sampled,
            [epoch(1, 0.9 - 0.01 * place, 1)],
            "complete",
        )
        kept = KeptPredictions(about, Predictions(said, labels(answers.task)), texts)
        predictions.write(found.predictions("val"), kept)
    if answers.is_tested:
        chosen = winner.chosen(folder, rows, runs).run
        manifest.open_test(chosen)
        manifest.record_test({run.name: card_of(answers) for run in runs})
    return read_study(folder.path, "made")


def card_of(answers: Answers) -> dict:
    """What the first run got on test, whose rows are those of validation here."""
    kind, classes, metric = KINDS[answers.task]
    task = Task(answers.task, kind, classes, (), ROWS)
    found = Predictions(answers.said[0].astype(np.float32), labels(answers.task))
    nothing = np.full(ROWS, "")
    people = np.array([f"p{row // 2}" for row in range(ROWS)])
    texts = RowTexts(people, nothing, {"sex": np.array(["f", "m", ""])[np.arange(ROWS) // 5 % 3]})
    return scorecard(task, metric, found, evaluate_scores(kind, *found), texts)


def said_in(section: Section) -> dict[str, str]:
    """The sentences of a section, by the end of their ids."""
    return {block.id.partition(".")[2]: block.text for block in section.blocks if isinstance(block, Statement)}


def tables_in(section: Section) -> dict[str, list[dict]]:
    """The rows of the tables of a section."""
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}


def pictures_in(section: Section) -> list[Picture]:
    """The pictures of a section."""
    return [block for block in section.blocks if isinstance(block, Picture)]


def rows_on(sheet: Picture, lines: int) -> list[int]:
    """The rows whose colours are on a contact sheet, in its order."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet.content)).convert("RGB")).astype(int)
    palette, found = np.array([colour(row) for row in range(ROWS)]), []
    height, width = SIDE + lines * LINE + 2 * GAP, SIDE + GAP
    for top in range(GAP, pixels.shape[0] - height + GAP + 1, height):
        for left in range(GAP, pixels.shape[1] - SIDE, width)[:COLUMNS]:
            middle = pixels[top + SIDE // 4 : top + SIDE // 2, left + SIDE // 4 : left + SIDE // 2].mean((0, 1))
            distance = np.abs(palette - middle).max(1)
            if distance.min() < 10:
                found.append(int(distance.argmin()))
    return found


def _write_data(prepared: Path, answers: Answers) -> DatasetInfo:
    kind, classes, _ = KINDS[answers.task]
    info = DatasetInfo("faces.csv", answers.task, kind, classes, answers.is_synthetic, fingerprint="made")
    rows = [row for split in ("train", "val", "test") for row in _rows(split, answers.task)]
    return write_dataset(prepared, rows, info)


def _rows(split: str, task: str) -> list[Row]:
    true, count = labels(task), ROWS if split == "val" else 24
    videos = [f"{split} video {row // FRAMES}" if task == "deepfake" else "" for row in range(count)]
    people = [f"{split} {row // 2}" if task == "male" else "" for row in range(count)]
    found = []
    for row in range(count):
        out, label = io.BytesIO(), true[row].tolist()
        Image.new("RGB", (16, 16), colour(row)).save(out, "PNG")
        found.append(Row(out.getvalue(), tuple(label) if task == "traits" else label, people[row], split, videos[row]))
    return found


def _row_texts(prepared: Path, split: str, task: str) -> RowTexts:
    texts = RowTexts.of_columns(read_texts(prepared, split))
    alone = np.array([f"row {row}" for row in range(ROWS)])
    unit = np.where(texts.identity != "", texts.identity, np.where(texts.video != "", texts.video, alone))
    return RowTexts(unit, texts.video if task == "deepfake" else np.full(ROWS, ""), {})
