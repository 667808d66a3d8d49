"""Which run is meant by `results/x#0007`, and what is said where there is none."""

import json
import shutil
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from search.again.row import find
from search.record.folder import Stage

BEFORE = Path(__file__).resolve().parents[2] / "fixtures" / "version_before" / "study"


@pytest.fixture
def study(tmp_path):
    shutil.copytree(BEFORE, tmp_path / "faces-male")
    return tmp_path / "faces-male"


def test_a_trial_and_a_run_of_the_final_stage_are_found(study):
    shutil.copytree(study / "trials" / "0000", study / "finals" / "0000-seed13")
    trial, final = find(f"{study}#0000"), find(f"{study}#0000-seed13")
    assert (trial.stage, trial.name, final.stage) == (Stage.SEARCH, "faces-male#0000", Stage.FINAL)
    assert trial.place.path == study / "again" and trial.place.record(trial.stage, "0000").folder != trial.record.folder


@pytest.mark.parametrize("text", ["faces-male", "#0007", "faces-male#"])
def test_what_is_no_row_is_told_how_rows_are_written(text):
    with pytest.raises(ConfigError, match="results/x#0007"):
        find(text)


def test_names_that_are_nearly_right_are_listed(study):
    with pytest.raises(ConfigError, match=r"no study in .*faces-mael; did you mean `faces-male`"):
        find(f"{study.parent / 'faces-mael'}#0000")
    with pytest.raises(ConfigError, match=r"no trial and no run of a later stage `0010`; did you mean `000"):
        find(f"{study}#0010")
    with pytest.raises(ConfigError, match="it has `0000`, `0001`"):
        find(f"{study}#best")
    with pytest.raises(ConfigError, match="there is no study"):
        find(f"{study.parent / 'nowhere' / 'x'}#0000")
    with pytest.raises(ConfigError, match="no trial"):
        find(f"{study}#../trials/0000")


def change_settings(study, part, key, value):
    path = study / "trials" / "0000" / "config.json"
    written = json.loads(path.read_text())
    written[part][key] = value
    path.write_text(json.dumps(written))


def test_settings_of_another_version_are_refused_with_the_version_to_take(study):
    change_settings(study, "sampled", "optim.warp", 3)
    with pytest.raises(ConfigError, match=r"not ones of this version \(unknown key `optim.warp`.*there$"):
        find(f"{study}#0000")


def test_a_row_without_an_epoch_says_why(study):
    (study / "trials" / "0001" / "metrics.jsonl").unlink()
    with pytest.raises(ConfigError, match="0001 has no epoch on record"):
        find(f"{study}#0001")


def test_a_manifest_that_is_none_is_refused(study):
    (study / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no manifest of a study"):
        find(f"{study}#0000")


def test_a_default_that_has_changed_is_named(study):
    change_settings(study, "resolved", "optim.weight_decay", 0.123)
    assert any(line.startswith("optim.weight_decay 0.123 then") for line in find(f"{study}#0000").changed_settings())
