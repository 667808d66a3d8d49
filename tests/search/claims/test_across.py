"""Backbones across tasks: ranks and correlations of hand-made folders, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from lssat.config import ConfigError
from search import across
from tests.search.records import epoch, record

ROOT = Path(__file__).resolve().parents[3]


def folder(path, scores, status="complete"):
    """`scores`: (backbone, score) of each trial."""
    for number, (backbone, score) in enumerate(scores):
        trial = path / "trials" / f"{number:04d}"
        record(trial, {"backbone.name": backbone}, [epoch(1, score, 1)], status)
    return path


@pytest.fixture
def folders(tmp_path):
    return [
        folder(tmp_path / "per_task-emotion", [("a", 0.1), ("a", 0.5), ("b", 0.4), ("c", 0.3), ("d", 0.2)]),
        folder(tmp_path / "per_task-attributes", [("a", 0.6), ("b", 0.9), ("c", 0.7), ("d", 0.5), ("only_here", 1.0)]),
        folder(tmp_path / "per_task-deepfake", [("a", 0.8), ("b", 0.8), ("c", 0.6), ("d", 0.7)]),
    ]


def test_scores_ranks_and_mean_ranks(folders):
    lines = across.report(folders, 0.02).splitlines()
    assert lines[0] == "| backbone | emotion | rank | attributes | rank | deepfake | rank | mean rank |"
    assert lines[2] == "| b | 0.4000 | 2 | 0.9000 | 1 | 0.8000 | 1.5 | 1.50 |"
    assert lines[3] == "| a | 0.5000 | 1 | 0.6000 | 3 | 0.8000 | 1.5 | 1.83 |"
    assert "Left out, because not all tasks have them finished: only_here." in lines


def test_correlations_of_textbook_numbers():
    """Four ranks with one pair turned round: tau (5 - 1) / 6, rho 1 - 6 * 2 / (4 * 15)."""
    one, other = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, {"a": 3.0, "b": 4.0, "c": 2.0, "d": 1.0}
    assert "| x, y | +0.67 | +0.80 |" in across.agreement({"x": one, "y": other})
    assert "| x, y | - | - |" in across.agreement({"x": one, "y": dict.fromkeys(one, 0.5)})


def test_the_best_of_each_task_and_the_one_for_all(folders):
    text = across.report(folders, 0.02)
    assert (
        "- emotion: a (0.5000)" in text and "- attributes: b (0.9000)" in text and "- deepfake: a, b (0.8000)" in text
    )
    assert "none. b falls least behind: 0.1000 in its worst task." in text
    assert "b (at most 0.1000 behind)." in across.report(folders, 0.1), "the margin belongs to it"


def test_a_stopped_trial_does_not_count(tmp_path, folders):
    stopped = folder(tmp_path / "per_task-x", [("a", 0.5), ("b", 0.4)], status="stopped")
    with pytest.raises(ConfigError, match=r"per_task-x has no complete trial.*--resume"):
        across.report([*folders, stopped], 0.02)


def test_bad_folders_are_named(tmp_path, folders):
    with pytest.raises(ConfigError, match="nowhere is no run folder"):
        across.report([folders[0], tmp_path / "nowhere"], 0.02)
    with pytest.raises(ConfigError, match="at least two"):
        across.report(folders[:1], 0.02)
    with pytest.raises(ConfigError, match="name of its own"):
        across.report([folders[0], folders[0]], 0.02)
    with pytest.raises(ConfigError, match="fewer than two backbones"):
        across.report([folders[0], folder(tmp_path / "other", [("z", 0.5)])], 0.02)
    with pytest.raises(ConfigError, match="margin"):
        across.report(folders, -0.1)
    (folders[0] / "trials" / "0000" / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"per_task-emotion.*cannot be read"):
        across.report(folders, 0.02)


def test_the_command(folders):
    done = subprocess.run(
        [sys.executable, "search/across.py", *map(str, folders)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Is there one that suits all?" in done.stdout
    done = subprocess.run(
        [sys.executable, "search/across.py", str(folders[0])], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
