"""What role each setting plays: of a grid by comparison, of another search by description, in words that hold."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from lssat.errors import ConfigError
from lssat.storage.place import Place
from search.claims.importance import Importance, Role, Share
from search.claims.pooled import Effect, Help, Texture
from search.findings.roles.page import roles, words_of_grid, words_of_texture
from search.findings.roles.settings import GridSettings
from search.findings.roles.texture import TextureEffects, texture_pairs
from search.record import manifest
from search.record.folder import RunFolder, Stage, Storage
from search.space.file import load
from search.space.grid import every_point
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm
from search.strategy.searcher import open_study
from tests.search.records import epoch, record

ROOT = Path(__file__).resolve().parents[3]
ONE_SEED = """
fixed: {data.image_size: 64, masking.unit: 16}
space:
  backbone.name: [test_vit, test_resnet, test_convnext]
  backbone.patch_size: {choices: [8], when: {backbone.name: [test_vit]}}
  optim.lr: [1.0e-3, 2.0e-3]
  auxiliary: [off, on]
  streams: {choices: [MRGB/RLBP/CRGB, MRGB/RLDP/CRGB], when: {auxiliary: [on]}}
search: {sampler: grid, scheduler: none, finalists: 0}
"""
GRID = ONE_SEED.replace("space:", "space:\n  seed: [0, 1, 2]")
TPE = """
fixed: {data.image_size: 64}
space:
  backbone.family: [vit, resnet]
  backbone.patch_size: {choices: [8, 16], when: {backbone.family: [vit]}}
  aux_weight: {low: 0.1, high: 0.9}
search: {sampler: random, num_trials: 40}
"""


def begun(path, text):
    path.mkdir(parents=True)
    (path / "s.yaml").write_text(text)
    space = load(path / "s.yaml", "laptop", {}, {})
    folder, storage = RunFolder(path), Storage(Place.of(path))
    manifest.new_manifest(folder, space, {"fingerprint": "x"}, path).begin_session(storage, space, "faces.csv")
    return folder, space


def grid(path, score, text=GRID, ended=lambda sampled: "complete"):
    """A finished grid whose trials have the score of their settings, and a little luck."""
    folder, space = begun(path, text)
    luck = np.random.default_rng(0)
    for number, (_, sampled) in enumerate(every_point(space.sample)):
        best = score(sampled) + 0.002 * luck.standard_normal()
        record(path / Stage.SEARCH / f"{number:04d}", sampled, [epoch(1, best, epochs=1)], ended(sampled))
    return folder


def by_backbone(sampled):
    return 0.6 + 0.1 * (sampled["backbone.name"] == "test_resnet")


def test_without_predictions_shares_are_shown_and_nothing_is_claimed(tmp_path):
    said = roles(grid(tmp_path / "grid", by_backbone))
    assert "cannot be told: " in said
    assert "no kept predictions" in said
    assert "| backbone.name | 100% |  | cannot be told |" in said
    assert "matters |" not in said


def test_what_is_drawn_with_one_backbone_only_is_confounded_with_it(tmp_path):
    said = roles(grid(tmp_path / "grid", by_backbone))
    assert "| backbone.patch_size |  |  | confounded with backbone.name |" in said
    assert "| seed |" not in said


def test_a_grid_from_one_seed_has_no_noise_floor_and_says_so(tmp_path):
    said = roles(grid(tmp_path / "grid", by_backbone, ONE_SEED))
    assert "there is no noise floor" in said
    assert "| interactions and training anew, together |" in said


def test_trials_that_did_not_end_are_left_out_and_counted(tmp_path):
    def ended(sampled):
        return "stopped" if sampled["seed"] == 1 and sampled["optim.lr"] == 1e-3 else "complete"

    said = roles(grid(tmp_path / "grid", by_backbone, ended=ended))
    assert "9 of the 54 trials did not reach their full budget" in said


def test_the_texture_is_shown_by_backbone_and_over_all(tmp_path):
    said = roles(grid(tmp_path / "grid", lambda sampled: 0.6 + 0.05 * bool(sampled["auxiliary"])))
    rows = [line.split("|")[1:3] for line in said.splitlines() if "cannot be told |" in line]
    shown = {name.strip(): value.strip() for name, value in rows}
    assert {"test_vit", "test_resnet", "test_convnext", "all of them"} <= shown.keys()
    assert float(shown["all of them"]) == pytest.approx(0.05, abs=0.005)


def test_an_arm_is_paired_with_the_same_without_its_task(tmp_path):
    folder = grid(tmp_path / "grid", by_backbone)
    keys = ["backbone.name", "backbone.patch_size", "optim.lr", "auxiliary", "streams"]
    pairs = texture_pairs(folder.records(Stage.SEARCH), keys, lambda arm: arm.baseline)
    assert len(pairs) == 3
    for having, without in pairs.values():
        assert len(having) == len(without) == 4
        for one, other in zip(having, without, strict=True):
            assert one.split(", auxiliary")[0] == other.split(", auxiliary")[0]
            assert "auxiliary=True" in one and "auxiliary=False" in other


def test_a_baseline_with_a_learning_rate_of_its_own_is_paired(tmp_path):
    folder = RunFolder(tmp_path / "finals")
    network = {"backbone.name": "test_resnet", "data.image_size": 64, "masking.unit": 16}
    joint = Arm("0007", {**network, "streams": "MRGB/RLDP/CRGB", "aux_weight": 0.5, "optim.lr": 1e-3})
    baseline = replace(joint.baseline, sampled={**joint.baseline.sampled, "optim.lr": 4e-3})
    for arm in (joint, baseline):
        place = folder.path / Stage.FINAL / f"{arm.name}-seed9"
        record(place, {**arm.sampled, "seed": 9}, [epoch(1, 0.8, epochs=1)], "complete")
    pairs = texture_pairs(folder.records(Stage.FINAL), ["optim.lr"], Baselines(folder, SearchConfig()).of)
    assert pairs == {"test_resnet": (["0007"], ["0007-supervised"])}


def test_what_matters_is_said_in_a_sentence():
    told = Share("optim.lr", 0.4, 0.2, 0.6, Role.MATTERS)
    untold = Share("backbone.name", 0.1, 0.0, 0.3, Role.UNTOLD, (), ("test_vit",))
    said = words_of_grid(GridSettings(Importance([told, untold], 0.5, True, ""), 12, 0))
    assert (
        "optim.lr matters: it makes 40% of the variance of a run's score. Of backbone.name it cannot be told." in said
    )
    assert "| optim.lr | 40% | 20% to 60% | matters |" in said
    assert "| training anew (the floor) | 50% |" in said
    assert "Of backbone.name, test_vit never changed by itself" in said


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (Help.HELPS, "The texture helps these 2 backbones"),
        (Help.HARMS, "The texture harms these 2 backbones"),
        (Help.EQUIVALENT, "The texture makes no difference to speak of to these 2 backbones"),
        (Help.UNTOLD, "The texture cannot be told to help or to harm these 2 backbones"),
    ],
)
def test_what_the_texture_does_is_said_in_a_sentence(word, sentence):
    each = [Effect(name, 0.01, -0.01, 0.03, Help.UNTOLD) for name in ("vit", "swin")]
    found = Texture(each, Effect("all of them", 0.01, 0.0, 0.02, word), True, "")
    said = words_of_texture(TextureEffects(found, 12, 0.01))
    assert sentence in said
    assert "It does not do the same to each." in said
    assert "picked out of 12 trials" in said


def test_a_search_is_described_and_not_tested(tmp_path):
    folder, space = begun(tmp_path / "search", TPE)
    study = open_study(folder.study_db, "search", space)
    for number in range(30):
        trial = study.ask()
        sampled = space.sample(trial)
        score = 0.5 + 0.3 * (sampled["backbone.family"] == "vit") + 0.01 * sampled["aux_weight"]
        record(folder.path / Stage.SEARCH / f"{number:04d}", sampled, [epoch(1, score, epochs=1)], "complete")
        study.tell(trial, score)
    said = roles(folder)
    assert "no test" in said
    assert "30 complete, 0 stopped" in said
    rows = [line for line in said.splitlines() if line.startswith("| backbone.family |")]
    assert len(rows) == 1
    assert "matters" not in said.replace("what matters", "")


def test_a_search_of_few_trials_says_how_to_go_on(tmp_path):
    folder, space = begun(tmp_path / "search", TPE)
    study = open_study(folder.study_db, "search", space)
    trial = study.ask()
    sampled = space.sample(trial)
    record(folder.path / Stage.SEARCH / "0000", sampled, [epoch(1, 0.5, epochs=1)], "complete")
    study.tell(trial, 0.5)
    assert "`--resume --extend 20`" in roles(folder)


def test_a_search_whose_study_is_lost_says_what_to_restore(tmp_path):
    folder, space = begun(tmp_path / "search", TPE)
    sampled = space.sample(optuna.create_study().ask())
    record(folder.path / Stage.SEARCH / "0000", sampled, [epoch(1, 0.5, epochs=1)], "complete")
    assert "study.db is not there; restore it" in roles(folder)
    assert not folder.study_db.exists()


def test_what_is_no_study_is_said_in_a_line(tmp_path):
    command = [sys.executable, str(ROOT / "search" / "role.py"), "results/none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "give a run folder of this project" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_study_without_a_complete_trial_says_how_to_go_on(tmp_path):
    folder, _ = begun(tmp_path / "search", TPE)
    with pytest.raises(ConfigError, match="--resume"):
        roles(folder)


optuna.logging.set_verbosity(optuna.logging.WARNING)
