"""What a new study takes over of the folders of earlier ones, and which of them it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.storage.place import Place
from search.earlier.reading import Wanted, begun_from
from search.earlier.words import other_data, taken
from search.record import going_on
from search.record.folder import RunFolder, Stage, Storage
from search.record.manifest import new_manifest, read_manifest
from search.space.file import load, with_search
from tests.search.studies import Made, faces, study

SPACE = Path(__file__).resolve().parents[3] / "spaces" / "backbones.yaml"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    return study(folder / "old", Made(ends=Stage.SEARCH), faces(folder, Made()))


@pytest.fixture
def space():
    return load(SPACE, "laptop", {}, {})


def wanted(tmp_path, kind="multiclass", task="mood"):
    return Wanted(RunFolder(tmp_path / "new"), task, kind)


def copied(old, tmp_path):
    return RunFolder(Path(shutil.copytree(old.path, tmp_path / "copy")))


def test_what_ended_well_or_was_stopped_is_taken_and_the_rest_is_counted(old, space, tmp_path):
    (found,) = begun_from(space, [old.path], wanted(tmp_path)).earlier
    ended = [record for record in old.records(Stage.SEARCH) if record.status in ("complete", "stopped")]
    assert sorted(trial.name for trial in found.trials) == [record.name for record in ended]
    assert found.left_out == {"failed": 3, "infeasible": 3}
    manifest = read_manifest(old.manifest)
    assert (found.name, found.fingerprint, found.run) == ("old", "made", manifest.content["storage_line"])
    assert set(found.first) <= {trial.name for trial in found.trials}
    assert "not taken: 3 failed, 3 infeasible" in taken(found)


def test_the_record_of_the_new_study_needs_the_old_folder_no_more(old, space, tmp_path):
    begins = begun_from(space, [old.path], wanted(tmp_path))
    folder = RunFolder(tmp_path / "new")
    folder.path.mkdir()
    data = {"fingerprint": "x", "task": "mood", "kind": "multiclass"}
    new_manifest(folder, begins, data, tmp_path).begin_session(Storage(Place.of(folder.path)), begins, "faces.csv")
    recorded = read_manifest(folder.manifest)
    assert recorded.space.earlier == begins.earlier
    goes_on = going_on.continued(recorded, space, 5, keeps_num_trials=True)
    assert goes_on.earlier == begins.earlier
    going_on.check_goes_on(recorded, goes_on, "x")
    going_on.check_began_from(recorded, [old.path, Path("gone/old")])
    with pytest.raises(ConfigError, match="began from old, which stays"):
        going_on.check_began_from(recorded, [tmp_path / "other"])
    with pytest.raises(ConfigError, match="began from no other"):
        going_on.check_began_from(read_manifest(old.manifest), [tmp_path / "other"])


def test_an_older_record_without_todays_keys_is_read(old, space, tmp_path):
    copy = copied(old, tmp_path)
    content = json.loads(copy.manifest.read_text())
    for key in ("storage_line", "machine"):
        del content[key]
    del content["resolved"]["space"]["search"]["supervised"]
    write_json(copy.manifest, content)
    (found,) = begun_from(space, [copy.path], wanted(tmp_path)).earlier
    assert found.run is None
    assert found.trials


def test_a_damaged_trial_is_left_out(old, space, tmp_path):
    copy = copied(old, tmp_path)
    (copy.record(Stage.SEARCH, "0000").folder / "config.json").write_text("{")
    (found,) = begun_from(space, [copy.path], wanted(tmp_path)).earlier
    assert found.left_out["damaged"] == 1
    assert "0000" not in [trial.name for trial in found.trials]


def test_several_studies_are_taken_in_their_order_and_no_point_is_tried_twice(old, space, tmp_path):
    begins = begun_from(space, [old.path, copied(old, tmp_path).path], wanted(tmp_path))
    assert [each.name for each in begins.earlier] == ["old", "copy"]
    points = [repr(trial.point) for _, trial in begins.tried_first]
    assert len(points) == len(set(points))


def refuse(space, folder, wanted_of, message):
    with pytest.raises(ConfigError, match=message):
        begun_from(space, folder if isinstance(folder, list) else [folder], wanted_of)


def test_what_is_no_study_or_damaged_is_refused(old, space, tmp_path):
    refuse(space, tmp_path / "nothing", wanted(tmp_path), "there is no study")
    copy = copied(old, tmp_path)
    copy.manifest.write_text("{")
    refuse(space, copy.path, wanted(tmp_path), "no manifest of a study")


def test_the_study_itself_and_one_named_twice_are_refused(old, space, tmp_path):
    refuse(space, old.path, Wanted(old, "mood", "multiclass"), "is the study itself; `--resume`")
    refuse(space, [old.path, old.path], wanted(tmp_path), "given twice")


def test_scores_of_another_kind_are_refused(old, space, tmp_path):
    refuse(space, old.path, wanted(tmp_path, kind="binary"), "kind of task is multiclass, that of this study binary")
    accuracy = replace(space, fixed={**space.fixed, "objective.metric": "accuracy"})
    refuse(accuracy, old.path, wanted(tmp_path), "`objective.metric` is macro_f1, that of this study accuracy")
    small = with_search(space, {"scheduler": "none", "objectives": ["score", "parameters"]})
    refuse(small, old.path, wanted(tmp_path), "`search.objectives` is score, that of this study score, parameters")


def test_a_study_that_scores_other_rows_is_refused_by_the_key_and_both_values(old, space, tmp_path):
    def of(**data):
        return replace(space, fixed={**space.fixed, **{f"data.{key}": value for key, value in data.items()}})

    repair = r".*; leave `--from` out, or set the same"
    refuse(
        of(hold_out="method", held_out=["warp"]),
        old.path,
        wanted(tmp_path),
        "its `data.hold_out` is none, that of this study method" + repair,
    )
    refuse(of(validate_on="b"), old.path, wanted(tmp_path), "`data.validate_on` is none, that of this study b" + repair)
    copy = copied(old, tmp_path)
    content = json.loads(copy.manifest.read_text())
    worst = {"objective.metric": "worst_group", "objective.subgroups": ["age"]}
    content["resolved"]["space"]["fixed"] |= worst
    write_json(copy.manifest, content)
    by_sex = replace(space, fixed={**space.fixed, **worst, "objective.subgroups": ["sex"]})
    refuse(by_sex, copy.path, wanted(tmp_path), "`objective.subgroups` is age, that of this study sex" + repair)
    content = json.loads(old.manifest.read_text())
    content["resolved"]["space"]["fixed"] |= {"data.hold_out": "method", "data.held_out": ["warp", "swap"]}
    write_json(copy.manifest, content)
    other = of(hold_out="method", held_out=["paint"])
    refuse(other, copy.path, wanted(tmp_path), "`data.held_out` is swap, warp, that of this study paint" + repair)
    assert begun_from(of(hold_out="method", held_out=["swap", "warp"]), [copy.path], wanted(tmp_path)).earlier


def test_other_data_are_said_to_be_other(old, space, tmp_path):
    (found,) = begun_from(space, [old.path], wanted(tmp_path)).earlier
    assert other_data(found, "made") == ""
    assert other_data(found, "another").startswith("old: of other data than these (another fingerprint); where they")


def test_a_space_that_holds_none_of_its_trials_is_refused(old, tmp_path):
    (tmp_path / "s.yaml").write_text("space: {backbone.name: [test_byobnet, test_mambaout]}\n")
    elsewhere = load(tmp_path / "s.yaml", "laptop", {}, {})
    refuse(elsewhere, old.path, wanted(tmp_path), "none of its trials can be taken over .* outside this space")


def test_a_grid_needs_no_earlier_study(old, tmp_path):
    (tmp_path / "s.yaml").write_text(
        "space: {backbone.name: [test_resnet]}\nsearch: {sampler: grid, scheduler: none}\n"
    )
    refuse(load(tmp_path / "s.yaml", "laptop", {}, {}), old.path, wanted(tmp_path), "does not go with .* grid")
