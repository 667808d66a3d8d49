"""What is taken where the command line says nothing: the profile, and the task of a folder of classes."""

import json
import shutil

import pytest

from lssat.errors import ConfigError
from search.command_line import asked
from search.command_line.arguments import parser
from search.record.locking import folder_name
from search.space.file import load


@pytest.mark.parametrize(
    ("environment", "profile", "reason"),
    [
        ({}, "gpu", "a GPU was found"),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, "gpu", "a GPU was found"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, "gpu", "a GPU was found"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "laptop", "CUDA_VISIBLE_DEVICES= hides all GPUs"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "laptop", "CUDA_VISIBLE_DEVICES=-1 hides all GPUs"),
        ({"HIP_VISIBLE_DEVICES": " "}, "laptop", "HIP_VISIBLE_DEVICES=  hides all GPUs"),
    ],
)
def test_a_gpu_counts_only_where_this_process_may_see_it(tmp_path, monkeypatch, environment, profile, reason):
    for name in asked.VISIBLE_DEVICES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(asked, "GPU_DEVICES", (str(tmp_path / "nvidiactl"),))
    arguments = parser().parse_args([])
    found = asked._profile(arguments)
    assert found == profile
    space = load(arguments.space, found, {}, {})
    assert asked.profile_found(arguments, space) == f"{profile} (taken because {reason})"


@pytest.fixture
def folder(tmp_path):
    for number in range(60):
        path = tmp_path / "pets" / ("ant", "bee")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "pets"


def words(folder, *more):
    return parser().parse_args(["--data", str(folder), "--results", str(folder.parent / "results"), *more])


def test_the_task_of_a_folder_of_classes_is_called_classes_unless_it_has_a_name(folder):
    found = asked.asked(words(folder))
    assert found.space.example().data.task == "classes"
    assert found.data.info.counts["train"] == {"ant": 20, "bee": 20}
    assert set(found.data.samples) == {"train", "val", "test"}
    assert found.data.samples["train"].startswith("ant/")
    assert asked.asked(words(folder, "--task", "pet")).space.example().data.task == "pet"
    assert asked.asked(parser().parse_args([])).space.example().data.task == "emotion"


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_study_that_the_version_before_began_on_a_folder_of_classes_goes_on(folder, name):
    given = ["--name", name] if name else []
    run_folder = folder.parent / "results" / (name or "backbones-pets-emotion")
    run_folder.mkdir(parents=True)
    (run_folder / "study.db").touch()
    before = load(words(folder).space, "laptop", {"data.source": str(folder)}, {})
    content = {"name": run_folder.name, "versions": {}, "resolved": {"space": before.to_json(), "data": ""}}
    (run_folder / "manifest.json").write_text(json.dumps(content))
    assert asked.asked(words(folder, *given, "--resume")).space.example().data.task == "emotion"
    assert asked.asked(words(folder, *given)).space.example().data.task == "classes"


def test_which_score_of_a_seed_counts_may_be_set_where_a_manifest_goes_on(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "data: {hold_out: method, held_out: [warp]}\nspace: {optim.lr: [1e-3, 1e-4]}\nsearch: {num_trials: 2}\n"
    )
    content = {
        "name": "s",
        "versions": {},
        "resolved": {"space": load(tmp_path / "s.yaml", "laptop", {}, {}).to_json()},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(content))

    def goes_on(*pins, resume=("--resume",)):
        pinned = [word for pin in pins for word in ("--set", pin)]
        arguments = parser().parse_args(["--space", str(tmp_path / "manifest.json"), *resume, *pinned])
        return asked._space(arguments)[0]

    space = goes_on("search.rotate=true", "objective.over=worst")
    assert space.search.rotate and space.example().objective.over == "worst"
    with pytest.raises(ConfigError, match=r"`objective\.over` worst is over"):
        goes_on("objective.over=worst")
    for refused in (["objective.metric=auc"], ["search.rotate=true", "objective.over=worst"]):
        with pytest.raises(ConfigError, match="run again as it is"):
            goes_on(*refused, resume=() if len(refused) > 1 else ("--resume",))


def test_several_data_sets_are_one_source_and_name_the_study(folder):
    other = folder.with_name("strays")
    shutil.copytree(folder, other)
    for path in sorted(other.rglob("*.jpg"))[40:]:
        path.unlink()
    found = asked.asked(words(folder, "--data", str(other), "--set", "data.validate_on=strays"))
    data = found.space.example().data
    assert (data.source, data.task, data.validate_on) == ([str(folder), str(other)], "classes", "strays")
    assert folder_name(None, words(folder).space, data) == "backbones-pets+strays-classes"
    assert found.data.info.rows == {"train": 66, "val": 7, "test": 7}
    assert found.data.samples["train"].endswith(" (pets)")
    assert found.data.samples["val"].endswith(" (strays)")
    with pytest.raises(ConfigError, match="but the data have no such column; they have dataset"):
        asked.asked(words(folder, "--data", str(other), "--set", "objective.subgroups=[method]"))
    asked.asked(words(folder, "--data", str(other), "--set", "objective.subgroups=[dataset]"))


def test_a_space_names_several_data_sets_as_a_command_line_does(folder, tmp_path):
    space = tmp_path / "space.yaml"
    text = "fixed:\n  data.source: [{0}, {0}]\n  data.task: pet\nspace:\n  backbone.name: [test_vit]\n"
    space.write_text(text.format(folder))
    with pytest.raises(ConfigError, match=r"`data.source` must name every data set once.*space.yaml:2\)"):
        load(space, "laptop", {}, {})
    other = folder.with_name("strays")
    shutil.copytree(folder, other)
    text = text.format(folder).replace(f", {folder}]", f", {other}]")
    none_such = "names `stray`, which is none of the data sets; did you mean `strays`?"
    for key, said in (
        ("data.weights: {pets: 1}", "must name every data set of training, but lacks `strays`; give it a weight"),
        (
            "data.weights: {pets: 1, strays: 1, stray: 2}",
            none_such,
        ),
        ("data.validate_on: stray", none_such),
    ):
        space.write_text(text.replace("space:", f"  {key}\nspace:"))
        given = parser().parse_args(["--space", str(space), "--results", str(tmp_path / "results")])
        with pytest.raises(ConfigError) as error:
            asked.asked(given)
        assert str(error.value) == f"`{key.partition(':')[0]}` {said} ({space}:4)"
    space.write_text(text)
    assert load(space, "laptop", {}, {}).example().data.sources == (str(folder), str(other))


def test_how_synthetic_fakes_are_made_is_known_before_any_is_rendered(tmp_path):
    space = tmp_path / "space.yaml"
    text = "data: {task: deepfake, hold_out: method}\nfixed:\n  data.held_out: [HELD]\nspace: {seed: [1]}\n"
    given = parser().parse_args(["--space", str(space), "--set", "search.rotate=true"])
    for held, said in (
        ("swap", "names `swap`, which no image has as `method`; did you mean `warp` or `region_swap`?"),
        (
            "warp, texture, self_blend, region_swap",
            "leaves no image of class `fake` in training; hold out",
        ),
    ):
        space.write_text(text.replace("HELD", held))
        with pytest.raises(ConfigError) as error:
            asked.asked(given)
        assert said in str(error.value) and str(error.value).endswith(f"({space}:3)")
    space.write_text(text.replace("HELD", "warp").replace("method", "metod"))
    with pytest.raises(
        ConfigError, match=r"`data.hold_out` names `metod`, .* did you mean `method`. \(.*space.yaml:1\)"
    ):
        asked.asked(given)
    space.write_text(text.replace("HELD", "warp"))
    assert asked.asked(given).data.folds == 4
