"""A study that the version before began, with its keys, names and files, goes on and ends as it would have ended there.

`tests/fixtures/version_before` was written by that version, killed with three of seven trials over and one in its
fourth epoch; the tables beside it are of the same study, uninterrupted. The kept runs were trained on one processor:
what another one trains differs in the last bits, so scores of runs that end here are compared loosely; those of trials
that begin here are not, since that version filled up short batches and this one does not.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from lssat.errors import ConfigError
from search.findings import leaderboard
from search.record import going_on
from search.record.folder import RunFolder, Stage
from search.record.manifest import read_manifest
from search.record.trials import Status

ROOT = Path(__file__).resolve().parents[2]
BEFORE = ROOT / "tests" / "fixtures" / "version_before"
OVER, GOES_ON = ("0000", "0001", "0002"), "0003"
SETTINGS = ("backbone", "pretrained", "streams", "encoding", "aux_weight", "mask_ratio", "parameters", "seed")


@pytest.fixture
def study(tmp_path):
    """The killed study, in a folder of its own, its data beside it."""
    folder = tmp_path / "results" / "before"
    shutil.copytree(BEFORE / "study", folder)
    data = shutil.copy(BEFORE / "noise.parquet", tmp_path / "noise.parquet")
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text().replace("/data/noise.parquet", str(data)))
    return RunFolder(folder)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_its_records_are_read_under_the_keys_of_today(study):
    rows = {row.trial: row for row in leaderboard.of_folder(study)}
    assert {name: row.status for name, row in rows.items()} == {
        "0000": Status.COMPLETE,
        "0001": Status.STOPPED,
        "0002": Status.COMPLETE,
        "0003": Status.RUNNING,
    }
    assert rows["0003"].encoding == "scaled P16 R1"
    assert rows["0003"].searched["texture.lbp_points"] == 16
    assert study.record(Stage.SEARCH, "0003").config.texture.lbp_points == 16
    parameters = {each.key: each.name for each in read_manifest(study.manifest).space.parameters}
    assert parameters["texture.lbp_points"] == "target.lbp_points", "Optuna knows it by its old name"


def test_what_learns_is_read_where_it_was_a_key_of_the_backbone(study):
    """That version searched `backbone.trainable`, by which name Optuna knows it."""
    manifest = json.loads(study.manifest.read_text())
    parameter = {"key": "backbone.trainable", "name": "backbone.trainable", "choices": ["all", "head"]}
    manifest["resolved"]["space"]["space"].append(parameter)
    study.manifest.write_text(json.dumps(manifest))
    for path in study.path.glob("trials/*/config.json"):
        written = json.loads(path.read_text())
        written["sampled"]["backbone.trainable"] = written["resolved"]["backbone.trainable"] = "head"
        path.write_text(json.dumps(written))
    assert read_manifest(study.manifest).space.parameters[-1].name == "backbone.trainable"
    assert study.record(Stage.SEARCH, "0003").config.optim.tune == "head"
    rows = leaderboard.of_folder(study)
    assert [row.searched["optim.tune"] for row in rows] == 4 * ["head"]
    assert [row.learning for row in rows] == 4 * [None], "nobody counted what learns"


def test_it_goes_on_unless_its_frames_would_be_scored_as_videos_now(study):
    """That version scored each frame and did not say so in its manifest."""
    recorded = read_manifest(study.manifest)
    going_on.check_scores_alike(recorded, "row")
    with pytest.raises(ConfigError, match="scores are now of whole videos") as refusal:
        going_on.check_scores_alike(recorded, "video")
    said = str(refusal.value)
    assert f"stay readable in {study.path}" in said
    line = said.splitlines()[-1].strip()
    assert line.startswith("python search/run.py --space before.yaml")
    assert line.endswith(" --name before-by-video") and line.count("--name") == 1


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_it_goes_on_and_ends_as_it_would_have_ended(study, tmp_path):
    words = ["--space", BEFORE / "before.yaml", "--data", tmp_path / "noise.parquet", "--task", "bright"]
    words += ["--profile", "laptop", "--results", tmp_path / "results", "--name", "before", "--resume"]
    recorded = {name: study.record(Stage.SEARCH, name).epochs for name in (*OVER, GOES_ON)}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, ROOT / "search" / "run.py", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name, epochs in recorded.items():
        found = study.record(Stage.SEARCH, name).epochs
        assert found[: len(epochs)] == epochs, "what was trained is not trained again"
        assert [result.epoch for result in found] == list(range(1, len(found) + 1))
    assert study.record(Stage.SEARCH, GOES_ON).num_epochs == 5
    rows = {row["trial"]: row for row in table(study.leaderboard)}
    expected = {row["trial"]: row for row in table(BEFORE / "leaderboard.csv")}
    assert rows.keys() == expected.keys()
    for name, row in rows.items():
        assert [row[key] for key in SETTINGS] == [expected[name][key] for key in SETTINGS], name
        if name in OVER:
            assert (row["score"], row["epochs"], row["status"]) == tuple(
                expected[name][key] for key in ("score", "epochs", "status")
            )
        elif name == GOES_ON:
            assert float(row["score"]) == pytest.approx(float(expected[name]["score"]), abs=0.1)
        else:  # begun by this version, which does not fill up the short last batch: batch norm sees other rows
            assert row["status"] in (Status.COMPLETE, Status.STOPPED) and 0.4 <= float(row["score"]) <= 1
    final, expected_final = table(study.final_table), table(BEFORE / "finals.csv")
    assert {row["arm"] for row in final} == {row["arm"] for row in expected_final}
    assert float(final[0]["mean"]) == pytest.approx(float(expected_final[0]["mean"]), abs=0.1)
    optuna_study = optuna.load_study(study_name="before", storage=f"sqlite:///{study.study_db}")
    names = {name for trial in optuna_study.get_trials() for name in trial.params}
    assert names == {"streams", "target.lbp_points", "aux_weight", "optim.lr"}


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_its_space_file_is_refused_with_the_new_name(tmp_path):
    space = tmp_path / "old.yaml"
    space.write_text((BEFORE / "before.yaml").read_text().replace("texture.", "target."))
    words = [sys.executable, ROOT / "search" / "run.py", "--space", space]
    done = subprocess.run(list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "`texture.lbp_points`" in done.stderr
    assert f"{space}:10" in done.stderr
