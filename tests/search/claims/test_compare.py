"""Comparing arms of a study: who is compared with whom, and what is refused."""

import pytest

from lssat.errors import ConfigError
from lssat.storage.place import Place
from search.compare import report
from search.record.folder import RunFolder, Storage
from search.record.manifest import new_manifest
from search.space.file import load
from tests.search.records import epoch, record


def test_unknown_columns_and_folders_are_named(tmp_path):
    with pytest.raises(ConfigError, match="colour"):
        report(tmp_path, ["colour"], None, "x")
    with pytest.raises(ConfigError, match="no finished trials"):
        report(tmp_path, ["streams"], None, "x")


@pytest.mark.parametrize("margin", [0, -0.01, 1, float("nan")])
def test_a_margin_that_is_no_share_of_the_score_is_refused(tmp_path, margin):
    with pytest.raises(ConfigError, match="0 < margin < 1"):
        report(tmp_path, ["streams"], None, margin=margin)


def test_trials_that_the_columns_do_not_tell_apart_are_not_averaged(tmp_path):
    for number, lr in enumerate((1e-3, 2e-3)):
        trial = tmp_path / "trials" / f"{number:04d}"
        record(trial, {"optim.lr": lr}, [epoch(1, 0.5, 1)], "complete")
    with pytest.raises(ConfigError, match="seed 0"):
        report(tmp_path, ["streams"], None, "MRGB")
    assert "| 1 | 0.5000" in report(tmp_path, ["streams"], "config_hash", "MRGB")


@pytest.fixture
def folder(tmp_path):
    """Two learning rates, the second with one seed; the last epoch is worse than the best."""
    (tmp_path / "s.yaml").write_text("space: {optim.lr: {low: 1.0e-3, high: 2.0e-3}}\nsearch: {num_trials: 3}")
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    begun = new_manifest(RunFolder(tmp_path), space, {"fingerprint": "x"}, tmp_path)
    begun.begin_session(Storage(Place.of(tmp_path)), space, "faces.csv")
    for number, (lr, seed) in enumerate([(1e-3, 0), (1e-3, 1), (2e-3, 0)]):
        trial = tmp_path / "trials" / f"{number:04d}"
        best = 0.5 + lr * (seed + 1)
        record(trial, {"optim.lr": lr, "seed": seed}, [epoch(1, best, 1, score=best - 0.1)], "complete")
    return tmp_path


def cells(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]


def test_a_searched_key_tells_arms_apart_beside_a_baseline(folder):
    head, _, *rows = cells(report(folder, ["optim.lr"], None, "0.001"))
    assert head == ["arm", "seeds", "mean", "to the baseline ± 95%", "verdict", "would tell"]
    assert rows[0] == ["0.001", "2", "0.5015", "", "baseline", ""]
    assert rows[1][:3] == ["0.002", "1", "0.5025"], "its one seed is the worse one of the other arm, by 0.001"
    assert rows[1][3:5] == ["+0.0010", "cannot be told"]


def test_without_a_baseline_arms_are_compared_with_the_best(folder):
    head, _, *rows = cells(report(folder, ["optim.lr"], None))
    assert head[3] == "to the best ± 95%"
    assert [(row[0], row[3], row[4]) for row in rows] == [
        ("0.002", "", "cannot be told"),
        ("0.001", "-0.0010", "cannot be told"),
    ]
    assert "predictions" in rows[0][5]
