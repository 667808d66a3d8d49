"""A winner's folder: of one run or refused, opened again as the model that was trained, whoever wrote it."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from lssat import evaluate
from lssat.bundle import folder as bundle
from lssat.bundle import opening
from lssat.bundle.card import model_card
from lssat.bundle.exporting import add_test, export
from lssat.bundle.opening import open_bundle
from lssat.config import build
from lssat.data.prepare.asked import Faces, describe
from lssat.data.prepared.rows import ResidentRows
from lssat.errors import ConfigError
from lssat.evaluation.calibration import calibration
from lssat.evaluation.metrics import evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import scorecard, shown
from lssat.evaluation.units import RowTexts
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.learner import PREDICTIONS, load_predictions, load_trained
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT

ROOT = Path(__file__).resolve().parents[2]
TASK = Task("bright", "binary", ("no", "yes"), (8, 8), 16)
SMALL = {
    "backbone.name": "test_efficientnet",
    "data.image_size": 32,
    "masking.unit": 8,
    "streams": "MRGB/RLBP/CLBP",
    "texture.lbp_points": 16,
    "texture.lbp_method": "uniform",
    "optim.epochs": 1,
    "optim.batch_size": 8,
    "optim.warmup_epochs": 0,
}
FILES = {
    bundle.WEIGHTS,
    bundle.HEAD,
    bundle.CONFIG,
    bundle.LABELS,
    bundle.PREPROCESSING,
    bundle.VALIDATION,
    bundle.CALIBRATION,
    bundle.MANIFEST,
    bundle.CARD,
}
SCORECARD = {"metric": "auc", "score": 0.75, "interval": [0.6, 0.9]}
OLD_NAMES = ("lbp_method", "lbp_points", "lbp_radius", "ldp_k", "ldp_signed")  # once of `target`, now of `texture`


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The best checkpoints of two runs."""
    folder = tmp_path_factory.mktemp("trained")
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": np.arange(16) % 2}])
    for seed in (0, 1):
        config = build({**SMALL, "seed": seed})
        run = TrainingRun(config, TASK, rows, rows, Distributed(torch.device("cpu")), folder / str(seed))
        fit(run, lambda result: None)
    return [folder / str(seed) / BEST_CHECKPOINT for seed in (0, 1)]


def test_a_bundle_is_opened_as_what_was_trained(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES
    state, model = load_trained(trained[0])
    opened = open_bundle(tmp_path / "best")
    assert (opened.config, opened.task) == (state.config, state.task) == (build({**SMALL, "seed": 0}), TASK)
    weights = opened.model.state_dict()
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    kept = json.loads((tmp_path / "best" / bundle.VALIDATION).read_text())
    assert kept == state.result.to_json() and kept["epoch"] == 1


def replace_stopped(monkeypatch, folder, content, most):
    """Replace a bundle by one of two files, but stop before any change of files after the first `most`; the changes."""
    done = []

    def stopping(module, name):
        original = getattr(module, name)

        def call(*args, **kwargs):
            if len(done) >= most:
                raise KeyboardInterrupt
            done.append(name)
            return original(*args, **kwargs)

        return call

    def write(inside):
        bundle.write_json(inside / bundle.LABELS, content)
        bundle.write_json(inside / bundle.CONFIG, content)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        for module, name in ((os, "unlink"), (os, "replace"), (os, "rename"), (os, "fsync"), (shutil, "rmtree")):
            patch.setattr(module, name, stopping(module, name))
        bundle.replace_whole(folder, write)
    return done


def test_a_bundle_is_the_old_or_the_new_one_whenever_its_replacement_stops(tmp_path, monkeypatch):
    """At each of its changes of files, of which there are as many as one that is not stopped makes."""
    old, folder, found = tmp_path / "old", tmp_path / "new" / "best", []
    replace_stopped(monkeypatch, old, "old", sys.maxsize)
    shutil.copytree(old, folder)
    changes = replace_stopped(monkeypatch, folder, "new", sys.maxsize)
    for most in range(len(changes) + 1):
        shutil.rmtree(folder.parent)
        shutil.copytree(old, folder)
        (folder / ".git").mkdir()
        (folder / ".git" / "HEAD").write_text("mine")
        replace_stopped(monkeypatch, folder, "new", most)
        found_in = bundle.located(folder).path
        assert bundle.check_files(found_in).notes == ()
        (content,) = {bundle.read(found_in / name) for name in (bundle.CONFIG, bundle.LABELS)}
        found.append(content)
        replace_stopped(monkeypatch, folder, content, sys.maxsize)
        assert (folder / ".git" / "HEAD").read_text() == "mine"
        assert [path.name for path in folder.parent.iterdir()] == ["best"]
    assert found == sorted(found, reverse=True) and set(found) == {"old", "new"}


def test_who_reads_a_bundle_between_the_renames_finds_one_and_disturbs_nobody(tmp_path, trained, monkeypatch):
    """Read before each change of files, as another process may: old or new, and the writer ends as if it were alone."""
    for run in trained:
        export(run, tmp_path / "best")
    seeds = []

    def reading(original):
        def call(*args, **kwargs):
            seeds.append(open_bundle(tmp_path / "best").config.seed)
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for module, name in ((os, "replace"), (os, "rename"), (shutil, "rmtree")):
            patch.setattr(module, name, reading(getattr(module, name)))
        export(trained[0], tmp_path / "best")
    assert seeds == sorted(seeds, reverse=True) and set(seeds) == {0, 1}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_bundle_that_is_replaced_while_it_is_read_is_read_again(tmp_path, trained, monkeypatch):
    """Never weights of one and settings of another."""
    export(trained[0], tmp_path / "best")
    original, left = opening.saved_config, [1]

    def replaced_meanwhile(content):
        while left:
            left.pop()
            export(trained[1], tmp_path / "best")
        return original(content)

    monkeypatch.setattr(opening, "saved_config", replaced_meanwhile)
    found = open_bundle(tmp_path / "best")
    assert found.config.seed == 1
    assert all(
        torch.equal(found.model.state_dict()[name], tensor)
        for name, tensor in load_trained(trained[1])[1].state_dict().items()
    )


def test_several_processes_that_replace_a_bundle_wait_for_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path; from lssat.bundle.folder import replace_whole\n"
        "for _ in range(30):\n"
        "    replace_whole(Path(sys.argv[1]), lambda to: [(to / n).write_text(sys.argv[2]) for n in "
        "('config.json', 'labels.json')])\n"
    )
    words = [[sys.executable, "-c", code, str(tmp_path / "best"), str(n)] for n in range(3)]
    writers = [subprocess.Popen(some, cwd=ROOT, stderr=subprocess.PIPE, text=True) for some in words]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 3
    bundle.check_files(tmp_path / "best")
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("name", [".", "../best", "best/..", "../best/..//best", "link"])
def test_a_bundle_is_opened_and_changed_whatever_it_is_called(tmp_path, monkeypatch, trained, name):
    export(trained[0], tmp_path / "best")
    place = tmp_path / "best"
    if name == "best/..":
        (place / "best").mkdir()
    if name == "link":
        (tmp_path / "link").symlink_to("best")
        place = tmp_path
    monkeypatch.chdir(place)
    add_test(Path(name), SCORECARD)
    monkeypatch.chdir(place)
    assert open_bundle(Path(name)).digest == open_bundle(tmp_path / "best").digest
    assert (tmp_path / "best" / bundle.TEST).exists()
    assert sorted({path.name for path in tmp_path.iterdir()} - {"link"}) == ["best"]
    (tmp_path / "best" / bundle.CONFIG).write_text("{}")
    with pytest.raises(ConfigError, match=f"`{name}/?{bundle.CONFIG}` is not as it was written|is not as it was"):
        open_bundle(Path(name))


def test_a_file_that_the_manifest_does_not_have_is_refused_and_what_is_no_file_of_a_bundle_stays(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    for name in (".git", ".ipynb_checkpoints"):
        (tmp_path / "best" / name).mkdir()
    (tmp_path / "best" / "notes.txt").write_text("mine")
    add_test(tmp_path / "best", SCORECARD)
    assert open_bundle(tmp_path / "best").notes == ()
    assert not {".git", "notes.txt"} & bundle.read(tmp_path / "best" / bundle.MANIFEST)["sha256"].keys()
    assert (tmp_path / "best" / "notes.txt").read_text() == "mine" and (tmp_path / "best" / ".git").is_dir()
    (tmp_path / "best" / bundle.ONNX).write_bytes(b"of another model")
    with pytest.raises(ConfigError, match=f"{bundle.ONNX}` is not of this bundle.*delete that file"):
        open_bundle(tmp_path / "best")


def test_a_temperature_that_the_manifest_does_not_have_is_refused(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    manifest = bundle.read(tmp_path / "best" / bundle.MANIFEST)
    del manifest["sha256"][bundle.CALIBRATION]
    bundle.write_json(tmp_path / "best" / bundle.MANIFEST, manifest)
    with pytest.raises(ConfigError, match=f"{bundle.CALIBRATION}` is not of this bundle"):
        open_bundle(tmp_path / "best")


@pytest.mark.parametrize("name", ["x" * 300, "file/best", "circle"])
def test_a_name_that_cannot_be_a_folder_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ConfigError, match=name):
        open_bundle(tmp_path / name)


def test_test_results_go_with_the_bundle_that_is_replaced(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    add_test(tmp_path / "best", SCORECARD)
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES | {bundle.TEST}
    export(trained[1], tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == FILES
    assert open_bundle(tmp_path / "best").config.seed == 1


def hashed(folder):
    """Take the digests anew: what is damaged was so before."""
    bundle.write_json(folder / bundle.MANIFEST, bundle._manifest(folder))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def without_a_tensor(path):
    tensors = load_file(path)
    tensors.popitem()
    save_file(tensors, path)


DAMAGES = {
    "no config": (bundle.CONFIG, Path.unlink),
    "half a config": (bundle.CONFIG, lambda path: path.write_text('{"seed": ')),
    "bytes for a config": (bundle.CONFIG, lambda path: path.write_bytes(b"\xff\xfe")),
    "a list for a config": (bundle.CONFIG, lambda path: path.write_text("[]")),
    "an unknown setting": (bundle.CONFIG, lambda path: path.write_text('{"sead": 1}')),
    "labels without names": (bundle.LABELS, lambda path: path.write_text("{}")),
    "labels of another form": (bundle.LABELS, lambda path: path.write_text('{"classes": 1, "counts": 2}')),
    "nothing of the epoch": (bundle.VALIDATION, lambda path: path.write_text("{}")),
    "weights that are cut": (bundle.WEIGHTS, cut),
    "empty weights": (bundle.WEIGHTS, lambda path: path.write_bytes(b"")),
    "weights of another model": (bundle.WEIGHTS, without_a_tensor),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_named_in_one_line_before_data_are_prepared(tmp_path, monkeypatch, capsys, trained, damage):
    export(trained[0], tmp_path / "best")
    name, harm = DAMAGES[damage]
    harm(tmp_path / "best" / name)
    hashed(tmp_path / "best")
    monkeypatch.setattr(evaluate, "prepare", lambda *_: pytest.fail("data are prepared"))
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path / "best"), "--data", "faces.csv"])
    assert evaluate.main() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: the bundle in `{tmp_path / 'best'}` is damaged (") and said.count("\n") == 1
    assert "copy it anew from the run that made it" in said


def test_a_bundle_and_a_checkpoint_by_the_version_before_are_opened(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    config = open_bundle(tmp_path / "best").config
    path = tmp_path / "best" / bundle.CONFIG
    path.write_text(json.dumps(as_before(json.loads(path.read_text()))))
    hashed(tmp_path / "best")
    assert open_bundle(tmp_path / "best").config == config

    tensors, state = checkpoint.load(trained[0])
    checkpoint.save(tmp_path / "old", tensors=tensors, state=state | {"config": as_before(state["config"])})
    assert load_trained(tmp_path / "old")[0].config == config


def as_before(config):
    """A configuration as the version before wrote it."""
    texture = {name: config["texture"][name] for name in OLD_NAMES}
    return {**{key: value for key, value in config.items() if key != "texture"}, "target": config["target"] | texture}


def test_the_temperature_is_fitted_on_what_the_checkpoint_says_of_its_validation_rows(tmp_path, trained):
    """Nothing is predicted again; a checkpoint of before kept no predictions, and has none: the card says so."""
    export(trained[0], tmp_path / "best")
    _, kept = load_predictions(trained[0])
    nothing = np.full(16, "")
    expected = calibration(TASK, kept.predictions, RowTexts(nothing, nothing, {}))
    assert json.loads((tmp_path / "best" / bundle.CALIBRATION).read_text()) == expected
    assert open_bundle(tmp_path / "best").temperature == expected["temperature"] != 1
    assert (
        f"Temperature {expected['temperature']:.4f}, fitted on 16 validation photos" in card_of(tmp_path / "best").text
    )

    tensors, state = checkpoint.load(trained[0])
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith(PREDICTIONS)}
    checkpoint.save(tmp_path / "before", tensors=own, state=state)
    export(tmp_path / "before", tmp_path / "best")
    assert open_bundle(tmp_path / "best").temperature == 1
    assert "the checkpoint kept no predictions" in card_of(tmp_path / "best").text


def test_a_bundle_of_the_first_format_is_opened_and_said_to_be_one(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    _, model = load_trained(trained[0])
    for name in (bundle.HEAD, bundle.MANIFEST, bundle.CARD):
        (tmp_path / "best" / name).unlink()
    checkpoint.write_tensors(model.state_dict(), tmp_path / "best" / bundle.WEIGHTS)
    opened = open_bundle(tmp_path / "best")
    assert "older format" in opened.notes[0]
    assert all(torch.equal(opened.model.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(FILES - {bundle.MANIFEST}))
def test_a_file_that_is_not_as_it_was_written_or_gone_is_refused_by_name(tmp_path, trained, name):
    export(trained[0], tmp_path / "best")
    path = tmp_path / "best" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=f"{name}` is not as it was written: its sha256 differs"):
        open_bundle(tmp_path / "best")
    path.unlink()
    with pytest.raises(ConfigError, match="is no bundle" if name == bundle.WEIGHTS else f"lacks `{name}`"):
        open_bundle(tmp_path / "best")


def test_another_format_is_refused_and_other_libraries_are_said(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    assert open_bundle(tmp_path / "best").notes == ()
    path = tmp_path / "best" / bundle.MANIFEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"versions": content["versions"] | {"timm": "0.9"}}))
    assert "made with timm 0.9" in open_bundle(tmp_path / "best").notes[0]
    path.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(ConfigError, match="is of format 99, but this version reads 2"):
        open_bundle(tmp_path / "best")


def card_of(folder):
    return ModelCard.load(folder / bundle.CARD)


def test_the_card_tells_the_test_score_in_front_matter_and_in_words(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    assert "was not opened" in card_of(tmp_path / "best").text
    add_test(tmp_path / "best", SCORECARD)
    card = card_of(tmp_path / "best")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("auc", 0.75, "test")
    assert "auc 0.7500 (95% interval 0.6000 to 0.9000)" in card.text
    for title in ("Data", "How it was chosen", "Subgroups", "Calibration", "Intended use", "Limits"):
        assert f"## {title}\n" in card.text
    assert open_bundle(tmp_path / "best").notes == ()


def test_the_card_says_what_the_scorecard_does_of_subgroups_and_of_too_few_photos(tmp_path, trained):
    logits, labels = np.linspace(-2, 2, 40)[:, None], np.arange(40) % 2
    nothing = np.full(40, "")
    texts = RowTexts(nothing, nothing, {"male": np.where(np.arange(40) % 3, "1", "0")})
    predictions = Predictions(logits, labels)
    found = scorecard(TASK, "auc", predictions, evaluate_scores("binary", logits, labels), texts)
    export(trained[0], tmp_path / "best")
    add_test(tmp_path / "best", found)
    text = card_of(tmp_path / "best").text
    assert shown(json.loads((tmp_path / "best" / bundle.TEST).read_text())) in text
    assert "by male" in text and "compares those of male" in text and "no interval" in text


def test_the_card_says_what_holds_of_test_and_faces_with_names_on_a_line(tmp_path, trained):
    export(trained[0], tmp_path / "best")
    names = (bundle.CONFIG, bundle.LABELS, bundle.PREPROCESSING, bundle.VALIDATION)
    known = {name.removesuffix(".json"): bundle.read(tmp_path / "best" / name) for name in names}
    known["labels"] |= {"name": "a\nb", "classes": ["no\n# Heading", "\x1b[31myes"]}
    faces = describe(Faces(keep=False, crop=True, boxes=True))
    text = model_card(known | {"preprocessing": known["preprocessing"] | {"faces": faces}})
    assert r"no\n# Heading 8, \x1b[31myes 8" in text and "\n# Heading" not in text
    assert "opened after the choice" not in text and "cut out by the boxes of the data set" in text
    assert "opened after the choice" in model_card(known | {"test": SCORECARD})
    assert "never saw" not in text
    known["config"]["data"] |= {"hold_out": "method", "held_out": ["a\nb", "c"]}
    assert r"no photo whose `method` is `a\nb`, `c`" in model_card(known)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no bundle of a winner; give the folder `best/` of a run"):
        open_bundle(tmp_path)


def test_the_command_refuses_bad_input_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--data", "synthetic"])
    assert evaluate.main() == 2
    assert capsys.readouterr().err.startswith(f"error: `{tmp_path}` is no bundle of a winner")


def test_evaluation_needs_neither_torch_nor_ray():
    code = (
        "import sys, lssat.evaluation.scorecard, lssat.evaluation.fairness; "
        "sys.exit(', '.join({'torch', 'ray', 'timm', 'optuna'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
