"""A manifest rebuilds its study, and an extension is on record."""

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.study import create_study

from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place
from search.record import going_on, manifest
from search.record.folder import RunFolder, Storage
from search.space.file import load

SPACES = sorted((Path(__file__).resolve().parents[3] / "spaces").glob("*.yaml"))
DATA = {"fingerprint": "x"}


def begun(path, space, storage=None):
    """The manifest of a study in a folder, as its first session writes it."""
    path.mkdir(parents=True, exist_ok=True)
    fresh = manifest.new_manifest(RunFolder(path), space, DATA, path)
    place = Storage(Place.of(storage or path))
    place.write_mark(RunFolder(path))
    return fresh.begin_session(place, space, "faces.csv")


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_the_same_trials_are_drawn(tmp_path, path, profile):
    space = load(path, profile, {"optim.weight_decay": 0.01}, {"seed": 3})
    begun(tmp_path / "first", space)
    read = manifest.read_manifest(tmp_path / "first" / "manifest.json")
    said = []
    manifest.notify_of_other_versions(read, said.append)
    assert (read.name, said) == ("first", [])
    assert read.space.to_json() == space.to_json()
    draws = [
        [each.sample(study.ask()) for _ in range(20)]
        for each in (space, read.space)
        for study in [create_study(sampler=RandomSampler(seed=0))]
    ]
    assert draws[0] == draws[1]
    assert read.space.example() == space.example()


def test_other_versions_are_said(tmp_path):
    content = begun(tmp_path, load(SPACES[0], "laptop", {}, {})).content
    write_json(tmp_path / "manifest.json", {**content, "versions": {**content["versions"], "ray": "1.0"}})
    said = []
    manifest.notify_of_other_versions(manifest.read_manifest(tmp_path / "manifest.json"), said.append)
    assert len(said) == 1
    assert "ray 1.0" in said[0]


def test_another_python_is_said_and_not_refused(tmp_path):
    """Nothing that a study goes on from is pickled."""
    space = load(SPACES[0], "laptop", {}, {})
    content = begun(tmp_path, space).content
    write_json(tmp_path / "manifest.json", {**content, "versions": {**content["versions"], "python": "3.99.0"}})
    read, said = manifest.read_manifest(tmp_path / "manifest.json"), []
    manifest.notify_of_other_versions(read, said.append)
    assert said == [f"note: recorded with python 3.99.0, run with {platform.python_version()}"]
    going_on.check_goes_on(read, space, DATA["fingerprint"])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"name": "x"}', '{"name": "x", "versions": {}, "resolved": {"space": {"space": [{"key": 1}]}}}'],
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match="no manifest of a study"):
        manifest.read_manifest(tmp_path / "manifest.json")


def test_a_study_keeps_its_number_of_seeds_unless_another_is_asked_for(tmp_path):
    """Its default was 3 in the version before; `supervised` it did not know."""
    text = "space: {aux_weight: [0.1, 0.5]}"
    (tmp_path / "s.yaml").write_text(text)
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    begun(tmp_path / "s", load(tmp_path / "s.yaml", "laptop", {}, {"final_seeds": 3}))
    path = tmp_path / "s" / "manifest.json"
    content = json.loads(path.read_text())
    del content["resolved"]["space"]["search"]["supervised"]
    path.write_text(json.dumps(content))
    old = manifest.read_manifest(path)
    goes_on = going_on.continued(old, space, None, keeps_num_trials=True)
    assert (space.search.final_seeds, goes_on.search.final_seeds) == (5, 3)
    going_on.check_goes_on(old, goes_on, "x")
    asked = load(tmp_path / "s.yaml", "laptop", {}, {"final_seeds": 5})
    assert going_on.continued(old, asked, None, keeps_num_trials=True).search.final_seeds == 5


def test_extensions_add_up(tmp_path):
    space = load(SPACES[0], "laptop", {}, {"num_trials": 12})
    first = begun(tmp_path, space)
    assert going_on.continued(first, space, 5, keeps_num_trials=True).search.num_trials == 17
    extended = begun(tmp_path, going_on.continued(first, space, 5, keeps_num_trials=True))
    assert going_on.continued(extended, space, None, keeps_num_trials=True).search.num_trials == 17
    assert going_on.continued(extended, space, None, keeps_num_trials=False).search.num_trials == 12
    with pytest.raises(ConfigError, match="`--extend` must be at least 1"):
        going_on.continued(extended, space, 0, keeps_num_trials=True)
    (tmp_path / "grid.yaml").write_text("space: {aux_weight: [0.1, 0.5]}\nsearch: {sampler: grid}\n")
    with pytest.raises(ConfigError, match="no more points"):
        going_on.continued(extended, load(tmp_path / "grid.yaml", "laptop", {}, {}), 3, keeps_num_trials=True)


def test_only_the_same_space_and_data_go_on(tmp_path):
    space = load(SPACES[0], "laptop", {}, {})
    record = begun(tmp_path, space)
    going_on.check_goes_on(record, space, "x")
    with pytest.raises(ConfigError, match=r"the data.*cp -a"):
        going_on.check_goes_on(record, space, "y")
    with pytest.raises(ConfigError, match=r"optim\.epochs"):
        going_on.check_goes_on(record, load(SPACES[0], "laptop", {"optim.epochs": 3}, {}), "x")


def test_a_run_folder_that_was_moved_takes_its_checkpoints_along(tmp_path):
    old, new = tmp_path / "results" / "old", tmp_path / "elsewhere" / "new"
    begun(old, load(SPACES[0], "laptop", {}, {}))
    new.parent.mkdir()
    old.rename(new)
    read = manifest.read_manifest(new / "manifest.json")
    assert going_on.storage_now(read, None, RunFolder(new)).place.local == new
    assert going_on.storage_now(read, Place.of(new.parent), RunFolder(new)).place.local == new, (
        "as `--storage` is the same folder"
    )
    with pytest.raises(ConfigError, match="leave `--storage` out"):
        going_on.storage_now(read, Place.of(tmp_path / "shared"), RunFolder(new))


def test_checkpoints_are_found_where_run_folder_and_storage_were_renamed_or_moved(tmp_path):
    space = load(SPACES[0], "laptop", {}, {})
    old, new, shared, mounted = (tmp_path / name for name in ("results/old", "results/new", "shared", "mounted"))
    begun(old, space, shared / "old")
    (old / "study.db").touch()
    shutil.copytree(old, tmp_path / "copy")
    with pytest.raises(ConfigError, match="is a copy"):
        going_on.storage_now(
            manifest.read_manifest(tmp_path / "copy" / "manifest.json"), Place.of(shared), RunFolder(tmp_path / "copy")
        )
    old.rename(new)
    shared.rename(mounted)
    Storage(Place.of(mounted / "new")).clear_for(RunFolder(tmp_path / "another" / "new"))

    def found(asked, folder=new):
        place = Place.of(asked) if asked else None
        return going_on.storage_now(manifest.read_manifest(folder / "manifest.json"), place, RunFolder(folder))

    assert found(mounted).place.local == mounted / "old", "`new` is another study's"
    for asked in (None, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=f"--storage {shared}"):
            found(asked)
    with pytest.raises(StorageLost, match="mount the storage again"):
        found(shared)
    storage = found(mounted)
    storage.write_mark(RunFolder(new))
    manifest.read_manifest(new / "manifest.json").begin_session(storage, space, "faces.csv")
    (mounted / "old").rename(mounted / "newest")
    new.rename(new.with_name("newest"))
    assert found(mounted, new.with_name("newest")).place.local == mounted / "newest"


@pytest.mark.parametrize("own", [True, False])
def test_a_study_that_a_version_without_marks_began_goes_on_where_its_storage_is_there(tmp_path, own):
    old, shared = tmp_path / "old", tmp_path / "shared" / "old"
    record = begun(old, load(SPACES[0], "laptop", {}, {}), None if own else shared)
    del record.content["storage_line"]
    record.content["sessions"][0]["command"] += [] if own else [f"--storage={shared.parent}"]
    record._write()
    read = manifest.read_manifest(old / "manifest.json")
    with pytest.raises(ConfigError, match="resume it with `--storage"):
        going_on.storage_now(read, Place.of(tmp_path / "another") if own else None, RunFolder(old))
    asked, place = (None, old) if own else (Place.of(shared.parent), shared)
    assert going_on.storage_now(read, asked, RunFolder(old)).place.local == place
    if own:
        old.rename(tmp_path / "new")
        assert going_on.storage_now(read, None, RunFolder(tmp_path / "new")).place.local == tmp_path / "new"
    else:
        shutil.rmtree(shared)
        with pytest.raises(StorageLost, match="mount it again"):
            going_on.storage_now(read, asked, RunFolder(old))


@pytest.mark.parametrize("name", ["renamed", "a/b c", "old"])
def test_a_study_of_another_name_with_the_same_data_elsewhere_goes_on(tmp_path, name):
    """Its trials keep the settings that they began with; the manifest notes where the data are."""
    at_first, now = (
        load(SPACES[0], "laptop", {"data.source": f"/{where}/faces.csv"}, {}) for where in ("node1", "node2")
    )
    begun(tmp_path / "old", at_first)
    folder = RunFolder(tmp_path / name)
    folder.path.parent.mkdir(exist_ok=True)
    (tmp_path / "old").rename(folder.path)
    record = manifest.read_manifest(folder.manifest)
    going_on.check_goes_on(record, now, "x")
    assert going_on.at_recorded_place(record, now) == at_first
    record.begin_session(Storage(Place.of(folder.path)), going_on.at_recorded_place(record, now), "/node2/faces.csv")
    written = json.loads(folder.manifest.read_text())
    assert [session["data"] for session in written["sessions"]] == ["faces.csv", "/node2/faces.csv"]
    with pytest.raises(ConfigError, match="the data"):
        going_on.check_goes_on(record, now, "other data on that path")


@pytest.mark.parametrize("scored_by", ["row", "video"])
def test_a_study_goes_on_while_scores_mean_what_they_meant(tmp_path, scored_by):
    space, data = load(SPACES[0], "laptop", {}, {}), {**DATA, manifest.SCORED_BY: scored_by}
    fresh = manifest.new_manifest(RunFolder(tmp_path), space, data, tmp_path)
    fresh.begin_session(Storage(Place.of(tmp_path)), space, "faces.csv")
    read = manifest.read_manifest(tmp_path / "manifest.json")
    going_on.check_scores_alike(read, scored_by)
    read.begin_session(Storage(Place.of(tmp_path)), space, "faces.csv")
    going_on.check_scores_alike(manifest.read_manifest(tmp_path / "manifest.json"), scored_by)


def test_openings_of_the_test_split_are_on_record_before_the_look(tmp_path):
    record = begun(tmp_path, load(SPACES[0], "laptop", {}, {}))
    record.open_test("a")
    on_disk = json.loads((tmp_path / "manifest.json").read_text())["test_opened"]
    assert [(opening["chosen"], opening["results"]) for opening in on_disk] == [("a", {})]
    record.record_test({"a": {"score": 0.5}})
    record.open_test("b")
    read = manifest.read_manifest(tmp_path / "manifest.json")
    assert (read.num_openings, read.test_results) == (2, {"a": {"score": 0.5}})


def test_a_study_of_the_version_before_goes_on_under_optunas_old_names(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "fixed: {texture.ldp_k: 4}\nspace:\n  streams: [MRGB/RLBP/CRGB, MRGB/RLDP/CRGB]\n"
        "  texture.lbp_points: {choices: [8, 16], when: {streams: [MRGB/RLBP/CRGB]}}\n"
        "  target.encoding:\n    - {choices: [scaled], when: {texture.lbp_points: [16]}}\n"
        "    - {choices: [scaled, bits], when: {texture.lbp_points: [8]}}\n"
    )
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    begun(tmp_path / "s", space)
    path = tmp_path / "s" / "manifest.json"
    path.write_text(path.read_text().replace("texture.", "target."))  # as the version before wrote it
    old = manifest.read_manifest(path)
    assert old.space.fixed == space.fixed
    assert [(each.key, each.when) for each in old.space.parameters] == [
        (each.key, each.when) for each in space.parameters
    ]
    goes_on = going_on.continued(old, space, None, keeps_num_trials=True)
    assert [each.name for each in goes_on.parameters] == [
        each.name.replace("texture.", "target.") for each in space.parameters
    ]
    going_on.check_goes_on(old, goes_on, "x")
    again = manifest.read_manifest(path).begin_session(Storage(Place.of(tmp_path / "s")), goes_on, "faces.csv")
    assert going_on.continued(manifest.read_manifest(path), space, None, keeps_num_trials=True) == replace(
        goes_on, locations=space.locations
    )
    assert "target.lbp_points" in {each.name for each in again.space.parameters}
