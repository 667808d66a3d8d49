"""From training to the bridge: kept predictions give the score on record, whatever the task and the metric."""

import io

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import DatasetInfo, Row, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation.units import RowTexts, texts_to_send
from lssat.storage.place import Place
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.learner import PREDICTIONS, load_predictions
from lssat.train.loop import TrainingRun, fit
from search.findings.scored_runs import scored_runs
from search.record.folder import RunFolder, Stage, Storage
from search.record.predictions import read
from search.record.trials import Outcome, Status
from search.space.file import load
from search.study import tuning
from search.study.context import Study
from search.study.recorder import keep_predictions, tensorboard_of

ROWS = 48
SMALL = {
    "backbone.name": "test_vit",
    "backbone.patch_size": 8,
    "data.image_size": 32,
    "masking.unit": 8,
    "auxiliary": False,
    "optim.epochs": 3,
    "optim.batch_size": 16,
    "optim.warmup_epochs": 0,
}
KINDS = {
    "bright": ("binary", ("no", "yes"), {}),
    "hue": ("multiclass", ("a", "b", "c"), {}),
    "traits": ("multilabel", ("a", "b"), {}),
    "deepfake": ("binary", ("real", "fake"), {}),
    "of the worst group": (
        "binary",
        ("no", "yes"),
        {"objective.metric": "worst_group", "objective.subgroups": ["sex"]},
    ),
}


def faces(kind, split):
    """Noise that is brighter the higher the label; two frames of each video, six of each person."""
    generator = np.random.default_rng(["train", "val", "test"].index(split))
    for number in range(ROWS):
        label = number % (3 if kind == "multiclass" else 2)
        pixels, out = generator.integers(0, 200, (32, 32, 3)) + 25 * label, io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
        labels = (label, number // 2 % 2) if kind == "multilabel" else label
        person = f"{split} {number // 6}" if number < ROWS // 2 else ""
        yield Row(
            out.getvalue(), labels, person, split, f"{split} {number // 4} {number % 2}", ("fm"[number // 3 % 2],)
        )


def study_of(tmp_path, task):
    """A study on prepared data, none of whose runs has begun, and the settings that its runs share."""
    kind, classes, settings = KINDS[task]
    info = DatasetInfo("here", task, kind, classes, synthetic=False, columns=("sex",), fingerprint="f1")
    rows = [row for split in ("train", "val", "test") for row in faces(kind, split)]
    write_dataset(tmp_path / "data", rows, info)
    counts = tuple(ROWS // len(classes) for _ in classes)
    folder = RunFolder(tmp_path / "results" / "s")
    storage = Storage(Place.of(tmp_path / "elsewhere"))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({"fixed": SMALL, "space": {"optim.weight_decay": [0.0, 0.1]}}))
    space = load(tmp_path / "space.yaml", "laptop", {}, {})
    return Study(folder, storage, space, Task(task, kind, classes, counts, ROWS), tmp_path / "data", {}), settings


def trained(study, settings, name="0000-seed0", stop_after=None, ends=True):
    """A run as a worker and the driver leave it; the driver keeps no predictions here."""
    sampled = {**SMALL, **settings}
    config, record = build(sampled), study.folder.record(Stage.FINAL, name)
    record = record if record.exists else record.begin(sampled, config)
    train, val = (read_resident(shard_paths(study.prepared, split), 32) for split in ("train", "val"))
    known = RowTexts.of_columns(study.validation.texts, config.objective.subgroups, config.data.hold_out)
    texts = texts_to_send(study.task, known)
    results = []

    def report(result):
        results.append(result)
        if len(results) == stop_after:
            raise KeyboardInterrupt

    checkpoints = study.storage.checkpoints(Stage.FINAL, name).local
    run = TrainingRun(config, study.task, train, val, Distributed(torch.device("cpu")), checkpoints, texts)
    fit(run, report)
    for result in results:
        if result.epoch > record.num_epochs:
            record.append(result, 1.0)
    if ends:
        record.end(Outcome(Status.COMPLETE))
    return record


@pytest.mark.parametrize("task", KINDS)
def test_the_score_from_the_file_is_the_score_on_record(tmp_path, task):
    study, settings = study_of(tmp_path, task)
    runs = {}
    for seed in range(2):
        name = f"0000-seed{seed}"
        record = trained(study, {**settings, "seed": seed}, name)
        keep_predictions(study, Stage.FINAL, record)
        runs[name] = ("0000", seed)
    found = scored_runs(study.folder, Stage.FINAL, runs)
    assert found.lacking == ""
    recorded = [study.folder.record(Stage.FINAL, name).last.best for name in runs]
    assert found.scores == pytest.approx(recorded, abs=1e-6)
    assert found.units == 4 + ROWS // 2 // 2, "four persons; of the others the videos"
    kept = read(record.predictions("val"))
    assert kept.texts.has_videos == (task == "deepfake")
    assert (kept.about.data, kept.about.split, list(kept.texts.groups)) == (
        study.validation.data,
        "val",
        ["sex"] if settings else [],
    )


def test_where_values_are_held_out_all_rows_are_kept_and_the_score_is_of_those(tmp_path):
    study, _ = study_of(tmp_path, "bright")
    record = trained(study, {"data.hold_out": "sex", "data.held_out": ["f"]})
    keep_predictions(study, Stage.FINAL, record)
    kept = read(record.predictions("val"))
    assert (kept.about.hold_out, kept.about.held_out) == ("sex", ("f",))
    assert len(kept.predictions.labels) == ROWS
    assert set(kept.texts.values[kept.scored_rows]) == {"f"}
    found = scored_runs(study.folder, Stage.FINAL, {record.name: ("0000", 0)})
    assert found.lacking == ""
    assert found.scores == pytest.approx([record.last.best], abs=1e-6)
    assert record.last.best_in_domain == record.epochs[record.best_epoch - 1].metrics["val/in_domain"]


def test_predictions_outlive_a_kill_after_the_best_epoch(tmp_path):
    """Those of an epoch that is over are not made again: they are in `best` alone."""
    study, _ = study_of(tmp_path, "hue")
    rate = {"optim.lr": 1e-2}  # at which later epochs are seldom better than all before
    whole = trained(study, rate, "0000-seed0")
    with pytest.raises(KeyboardInterrupt):
        trained(study, rate, "0001-seed0", stop_after=whole.best_epoch)
    killed = trained(study, rate, "0001-seed0", ends=False)
    assert killed.num_epochs == 3
    one, other = (load_predictions(study.storage.best(Stage.FINAL, f"000{number}-seed0")) for number in range(2))
    assert one[0].epoch == other[0].epoch == whole.best_epoch
    assert np.array_equal(one[1].predictions.logits, other[1].predictions.logits)
    assert np.array_equal(one[1].positions, np.arange(ROWS))


@pytest.fixture
def hue(tmp_path):
    """A study with one run that is complete, of which the driver has not kept the predictions yet."""
    study, settings = study_of(tmp_path, "hue")
    return study, trained(study, settings)


def test_a_study_that_goes_on_keeps_what_a_kill_came_before(hue):
    study, record = hue
    tuning._settle(study, Stage.FINAL, study.folder.records(Stage.FINAL))
    kept = record.predictions("val").read_bytes()
    assert read(record.predictions("val")).about.metric == "macro_f1"
    assert not (study.storage.checkpoints(Stage.FINAL, record.name).local / "last").exists()
    checkpoint.save(study.storage.best(Stage.FINAL, record.name), tensors={}, state={})
    tuning._settle(study, Stage.FINAL, study.folder.records(Stage.FINAL))
    assert record.predictions("val").read_bytes() == kept, "what is kept stays"


def test_tensorboard_shows_of_a_finalist_alone_how_it_judges_the_rows(hue):
    study, record = hue
    tuning._settle(study, Stage.FINAL, study.folder.records(Stage.FINAL))
    tensorboard_of(study, Stage.SEARCH).end(record)
    for stage, classes, pictures in (
        ("final", ["val/a", "val/b", "val/c"], ["validation confusion"]),
        ("search", [], []),
    ):
        (run,) = (study.folder.tensorboard / stage).iterdir()
        tags = EventAccumulator(str(run)).Reload().Tags()
        assert [tag for tag in tags["tensors"] if tag.startswith("val/")] == classes
        assert tags["images"] == pictures


def test_a_run_that_is_not_complete_keeps_nothing(hue):
    study, record = hue
    record.end(Outcome(Status.STOPPED))
    tuning._settle(study, Stage.FINAL, study.folder.records(Stage.FINAL))
    assert not record.predictions("val").exists()


def of_the_version_before(best):
    tensors, state = checkpoint.load(best)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(PREDICTIONS)}
    checkpoint.save(best, tensors=kept, state=state)


def of_another_epoch(best):
    """A kill came while a lost run was trained again."""
    tensors, state = checkpoint.load(best)
    other = state["result"]["epoch"] % 3 + 1
    checkpoint.save(best, tensors=tensors, state={**state, "result": {**state["result"], "epoch": other}})


def damaged(best):
    path = next(best.glob("tensors-*"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def gone(best):
    for path in best.iterdir():
        path.unlink()


@pytest.mark.parametrize("change", [of_the_version_before, of_another_epoch, damaged, gone])
def test_a_checkpoint_without_predictions_of_the_best_epoch_breaks_nothing(hue, change):
    study, record = hue
    change(study.storage.best(Stage.FINAL, record.name))
    tuning._settle(study, Stage.FINAL, study.folder.records(Stage.FINAL))
    assert not record.predictions("val").exists()
    found = scored_runs(study.folder, Stage.FINAL, {record.name: ("0000", 0)})
    assert found.lacking.startswith(f"{record.name} has no kept predictions")
    assert found.scores.tolist() == [record.last.best]


def test_predictions_are_verified_as_the_weights_are(hue):
    study, record = hue
    best = study.storage.best(Stage.FINAL, record.name)
    _, kept = load_predictions(best)
    path = next(best.glob("tensors-*"))
    content = path.read_bytes()
    place = content.index(kept.predictions.logits.tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(checkpoint.DamagedCheckpoint, match="is not as it was written"):
        load_predictions(best)
