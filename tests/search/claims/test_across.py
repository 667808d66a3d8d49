"""Backbones across tasks: what is said of final stages, of studies without one, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lssat.errors import ConfigError
from search import across
from search.claims.estimate import estimate
from search.findings import tasks_page
from search.findings.task_study import read_task_study
from search.findings.tasks import compared, tasks
from search.findings.told import Rule
from search.planted.studies import Plant, draw, with_truth
from tests.search.records import epoch, record

ROOT = Path(__file__).resolve().parents[3]
TRIALS = [("a", 0.1), ("a", 0.5), ("b", 0.4), ("c", 0.3)]


def folder(path, trials=TRIALS, finals=(), status="complete", **manifest):
    """`trials`: (backbone, score) of each; `finals`: (name of the run, backbone, score) of each."""
    for number, (backbone, score) in enumerate(trials):
        trial = path / "trials" / f"{number:04d}"
        record(trial, {"backbone.name": backbone}, [epoch(1, score, 1)], status)
    for name, backbone, score in finals:
        record(path / "finals" / name, {"backbone.name": backbone}, [epoch(1, score, 1)], "complete")
    if manifest:
        content = {
            **{"name": path.name, "versions": {}},
            "data": {"task": manifest["task"], "fingerprint": manifest["fingerprint"]},
            "resolved": {"space": {"profile": manifest["profile"], "search": {}, "fixed": {}, "space": []}},
        }
        (path / "manifest.json").write_text(json.dumps(content))
    return path


def final_stage(*best):
    """Three runs of each of these trials' configurations: (trial, backbone, score)."""
    return [
        (f"{trial}-seed{seed}", backbone, score + seed / 1000) for trial, backbone, score in best for seed in (1, 2, 3)
    ]


FINALS = final_stage(("0001", "a", 0.5), ("0002", "b", 0.4), ("0003", "c", 0.3))


@pytest.fixture
def folders(tmp_path):
    return [folder(tmp_path / f"per_task-{task}", finals=FINALS) for task in ("emotion", "attributes", "deepfake")]


def test_without_a_final_stage_trials_are_described_and_nothing_is_claimed(tmp_path, folders):
    report = across.report([*folders, folder(tmp_path / "per_task-x", [("a", 0.7), ("b", 0.8), ("z", 0.9)])])
    assert "can be told: x has no final stage" in report
    assert "one seed each: nothing is claimed" in report
    assert "| a | 0.5000 | 0.5000 | 0.5000 | 0.7000 |" in report, "of each backbone its best trial"
    assert "Left out, because not all tasks have them finished: c, z." in report
    assert "Does one suit all" not in report


def test_runs_without_predictions_show_means_and_tell_nothing(folders):
    report = across.report(folders)
    assert "| a | 0.5020 cannot be told |" in report
    assert "- emotion: 3 seeds, cannot be told:" in report
    assert "Within 0.01 of the best in every task: cannot be told (emotion:" in report


def test_of_several_finalists_of_a_backbone_the_searchs_choice_speaks_and_no_baseline_does(tmp_path):
    finals = final_stage(("0000", "a", 0.9), ("0001", "a", 0.5), ("0001-supervised", "a", 0.99), ("0002", "b", 0.4))
    study = read_task_study(folder(tmp_path / "x", finals=finals), "x")
    assert study.finals == {
        "a": [f"0001-seed{seed}" for seed in (1, 2, 3)],
        "b": [f"0002-seed{seed}" for seed in (1, 2, 3)],
    }
    runs = study.runs(["a", "b"])
    assert runs.arms == ("a",) * 3 + ("b",) * 3 and runs.seeds == (1, 2, 3, 1, 2, 3)
    assert runs.scores == pytest.approx([0.501, 0.502, 0.503, 0.401, 0.402, 0.403])


def test_a_backbone_that_a_task_lacks_in_its_final_stage_is_left_out(tmp_path, folders):
    fewer = folder(tmp_path / "per_task-x", finals=FINALS[:6])
    report = across.report([*folders, fewer])
    assert "Left out, because not all tasks have them finished: c." in report and "| c |" not in report


def test_studies_of_the_same_data_or_another_profile_are_named(tmp_path):
    known = {"finals": FINALS, "task": "emotion", "fingerprint": "f"}
    folders = [
        folder(tmp_path / "x", profile="laptop", **known),
        folder(tmp_path / "y", profile="gpu", **known),
        folder(tmp_path / "z", profile="gpu", **{**known, "task": "deepfake"}),
    ]
    report = across.report(folders)
    assert "Note: x and y are of the same task and data" in report and "x and z are" not in report
    assert "different profiles (x of laptop, y of gpu, z of gpu)" in report


def test_backbones_that_were_tuned_more_are_named(tmp_path, folders):
    assert "unequal numbers of trials (1 to 2)" in across.report(folders)
    even = [folder(tmp_path / name, TRIALS[1:], final_stage(("0000", "a", 0.5), ("0001", "b", 0.4))) for name in "uv"]
    assert "unequal" not in across.report(even)


def several(*truths):
    generator = np.random.default_rng(0)
    found = {
        f"task {number}": estimate(with_truth(draw(Plant(len(truth), 5, 1000), generator), np.array(truth)))
        for number, truth in enumerate(truths)
    }
    return tasks({task: compared(of_task, Rule(0.01)) for task, of_task in found.items()}, 0.01)


def test_words_stand_beside_scores_and_intervals_and_what_would_tell_beside_may_be_best():
    found = several([0.5, 0.1, 0.0], [0.1, 0.1, 0.0])
    lines = tasks_page.which_suits_which(found).splitlines()
    assert lines[2] == "| backbone | task 0 | task 1 |"
    assert lines[4].startswith("| arm 00 | 0.5") and " best |" in lines[4]
    assert " worse (-0." in lines[6]
    assert "- task 0: 5 seeds, 1000 validation units" in lines
    assert lines[-1].startswith("  - arm 00 from arm 01: only more of both") and lines[-2].startswith("- task 1")


def test_regrets_have_bounds_probabilities_and_a_sentence():
    page = tasks_page.which_suits_all(several([0.5, 0.1, 0.0], [0.5, 0.1, 0.0]))
    assert "Within 0.01 of the best in every task: arm 00 suits all: at most 0.0000 behind the best" in page
    assert "| arm 00 | 0.0000 (0.0000 to 0.0000) | 0.0000 (0.0000 to 0.0000) | 100% | 100% | suits all |" in page
    assert "| 0% | 0% | does not suit all |" in page
    assert "Ranks are not compared: over 2 tasks" in page


def test_from_eight_tasks_on_mean_ranks_are_compared():
    page = tasks_page.which_suits_all(several(*[[0.5, 0.1, 0.0]] * 8))
    assert "Mean ranks over 8 tasks: arm 00 1.00, arm 01 2.00, arm 02 3.00." in page
    assert "differ (Nemenyi, 5%)" in page and "not compared" not in page


def test_a_stopped_trial_does_not_count(tmp_path, folders):
    stopped = folder(tmp_path / "per_task-x", status="stopped")
    with pytest.raises(ConfigError, match=r"per_task-x has no complete trial.*--resume"):
        across.report([*folders, stopped])


def test_bad_folders_are_named(tmp_path, folders):
    with pytest.raises(ConfigError, match="nowhere is no run folder"):
        across.report([folders[0], tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="at least two"):
        across.report(folders[:1])
    with pytest.raises(ConfigError, match="name of its own"):
        across.report([folders[0], folders[0]])
    other = folder(tmp_path / "other", [("z", 0.5)], final_stage(("0000", "z", 0.5)))
    with pytest.raises(ConfigError, match="fewer than two backbones have final runs in all of"):
        across.report([folders[0], other])
    with pytest.raises(ConfigError, match="fewer than two backbones have finished in all of"):
        across.report([folders[0], folder(tmp_path / "another", [("z", 0.5)])])
    with pytest.raises(ConfigError, match="margin"):
        across.report(folders, -0.1)
    (folders[0] / "trials" / "0000" / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"per_task-emotion.*cannot be read"):
        across.report(folders)


def test_the_command(folders):
    done = subprocess.run(
        [sys.executable, "search/across.py", *map(str, folders)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Does one suit all?" in done.stdout
    done = subprocess.run(
        [sys.executable, "search/across.py", str(folders[0])], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
