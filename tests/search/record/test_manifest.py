"""A manifest rebuilds its study, and an extension is on record."""

import json
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.study import create_study

from lssat.config import ConfigError
from lssat.files import write_json
from search.record import manifest
from search.space.file import load

SPACES = sorted((Path(__file__).resolve().parents[3] / "spaces").glob("*.yaml"))


def recorded(folder, space, **more):
    record = {
        "name": "first",
        "versions": manifest._versions(),
        "resolved": {"space": json.loads(json.dumps(space.to_json())), "data": "x"},
        **more,
    }
    write_json(folder / "manifest.json", record)
    return folder / "manifest.json"


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_the_same_trials_are_drawn(tmp_path, path, profile):
    space = load(path, profile, {"optim.weight_decay": 0.01}, {"seed": 3})
    said = []
    name, again = manifest.rebuilt(recorded(tmp_path, space), said.append)
    assert (name, said) == ("first", [])
    assert again.to_json() == space.to_json()
    draws = [
        [each.sample(study.ask()) for _ in range(20)]
        for each in (space, again)
        for study in [create_study(sampler=RandomSampler(seed=0))]
    ]
    assert draws[0] == draws[1]
    assert again.example() == space.example()


def test_other_versions_are_said(tmp_path):
    path = recorded(tmp_path, load(SPACES[0], "laptop", {}, {}), versions={**manifest._versions(), "ray": "1.0"})
    said = []
    manifest.rebuilt(path, said.append)
    assert len(said) == 1
    assert "ray 1.0" in said[0]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"name": "x"}', '{"name": "x", "versions": {}, "resolved": {"space": {"space": [{"key": 1}]}}}'],
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match="no manifest of a study"):
        manifest.rebuilt(tmp_path / "manifest.json", print)


def test_extensions_add_up(tmp_path):
    space = load(SPACES[0], "laptop", {}, {"num_trials": 12})
    recorded(tmp_path, space)
    assert manifest.continued(space, tmp_path, 5, keep=True).search.num_trials == 17
    recorded(tmp_path, manifest.continued(space, tmp_path, 5, keep=True))
    assert manifest.continued(space, tmp_path, None, keep=True).search.num_trials == 17
    assert manifest.continued(space, tmp_path, None, keep=False).search.num_trials == 12
    with pytest.raises(ConfigError, match="`--extend` must be at least 1"):
        manifest.continued(space, tmp_path, 0, keep=True)
    (tmp_path / "grid.yaml").write_text("space: {aux_weight: [0.1, 0.5]}\nsearch: {sampler: grid}\n")
    with pytest.raises(ConfigError, match="no more points"):
        manifest.continued(load(tmp_path / "grid.yaml", "laptop", {}, {}), tmp_path, 3, keep=True)


def test_a_study_whose_folder_was_moved_goes_on_and_one_with_another_storage_does_not(tmp_path):
    space = load(SPACES[0], "laptop", {}, {})
    first, moved, shared = tmp_path / "a" / "s", tmp_path / "b" / "s", tmp_path / "shared" / "s"
    manifest.start(first, first, space, {"fingerprint": "x"}, tmp_path, None)
    first.parent.rename(moved.parent)
    record = manifest.start(
        moved, moved, space, {"fingerprint": "x"}, tmp_path, manifest.of_study(moved, moved, space, "x")
    )
    assert (record["storage"], len(record["sessions"])) == (str(moved), 2)
    with pytest.raises(ConfigError, match=f"--storage {moved.parent}"):
        manifest.of_study(moved, shared, space, "x")
    with pytest.raises(ConfigError, match="the data"):
        manifest.of_study(moved, moved, space, "y")
    shared.mkdir(parents=True)
    manifest.start(moved, shared, space, {"fingerprint": "x"}, tmp_path, None)
    with pytest.raises(ConfigError, match=f"--storage {shared.parent}"):
        manifest.of_study(moved, moved, space, "x")
