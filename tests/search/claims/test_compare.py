"""Paired comparison: textbook numbers, and pairs that only pairing can tell apart."""

import json

import pytest

from lssat.config import ConfigError
from search.claims.paired import compare, interval
from search.compare import report
from tests.search.records import epoch, record


def test_interval_of_textbook_numbers():
    """Mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776."""
    mean, half = interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert half == pytest.approx(2.776445 * 2.5**0.5 / 5**0.5, rel=1e-6)


def test_pairing_sees_what_the_spread_of_seeds_hides():
    base = {seed: 0.1 * seed for seed in range(5)}
    arms = compare(
        {
            "base": base,
            "up": {s: v + 0.01 + 0.0001 * s for s, v in base.items()},
            "noise": {s: v + 0.01 * (-1) ** s for s, v in base.items()},
        },
        "base",
    )
    assert [(arm.label, arm.verdict) for arm in arms] == [("base", "baseline"), ("up", "better"), ("noise", "tie")]
    assert arms[1].half > 0.1 > 0.001 > arms[1].difference_half


def test_seeds_that_the_baseline_lacks_are_not_compared():
    arm = compare({"base": {0: 0.5, 1: 0.6}, "other": {1: 0.7, 2: 0.1, 0: 0.55}}, "base")[1]
    assert (arm.seeds, arm.difference) == (3, pytest.approx(0.075))
    assert compare({"base": {0: 0.5}, "other": {0: 0.7}}, "base")[1].verdict == "too few seeds"


def test_unknown_columns_and_folders_are_named(tmp_path):
    with pytest.raises(ConfigError, match="colour"):
        report(tmp_path, ["colour"], None, "x")
    with pytest.raises(ConfigError, match="no finished trials"):
        report(tmp_path, ["streams"], None, "x")


def test_trials_that_the_columns_do_not_tell_apart_are_not_averaged(tmp_path):
    for number, lr in enumerate((1e-3, 2e-3)):
        trial = tmp_path / "trials" / f"{number:04d}"
        record(trial, {"optim.lr": lr}, [epoch(1, 0.6, 1, score=0.5)], "complete")
    with pytest.raises(ConfigError, match="seed 0"):
        report(tmp_path, ["streams"], None, "MRGB")
    assert "| 1 | 0.5000" in report(tmp_path, ["streams"], "config_hash", "MRGB")


def test_a_searched_key_tells_arms_apart(tmp_path):
    space = {"space": [{"key": "optim.lr", "name": "optim.lr", "low": 1e-3, "high": 2e-3}]}
    (tmp_path / "manifest.json").write_text(json.dumps({"resolved": {"space": space}}))
    for number, (lr, seed) in enumerate([(1e-3, 0), (1e-3, 1), (2e-3, 0)]):
        trial = tmp_path / "trials" / f"{number:04d}"
        record(trial, {"optim.lr": lr, "seed": seed}, [epoch(1, 0.6, 1, score=0.5 + lr * (seed + 1))], "complete")
    lines = report(tmp_path, ["optim.lr"], None, "0.001").splitlines()
    assert [line.split(" | ")[:3] for line in lines[4:]] == [
        ["| 0.001", "2", "0.5015 ± 0.0064"],
        ["| 0.002", "1", "0.5020"],
    ]
    assert "nan" not in "".join(lines)
