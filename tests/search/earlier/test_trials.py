"""Trials of an earlier study in terms of another space."""

import pytest

from lssat.config import build
from search.earlier.mapping import mapped, settings_of
from search.earlier.trials import ranked, taken_over, tried_first
from search.space.file import load

SPACE = """
fixed: {optim.epochs: 6, data.image_size: 64}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, femto]
  auxiliary: [on, off]
  aux_weight: {low: 0.1, high: 0.9}
  optim.lr: {low: 1e-4, high: 1e-2, log: on}
  optim.batch_size: {low: 16, high: 64, step: 16}
search: {num_trials: 12, startup_trials: 4}
"""


def space_of(tmp_path, text=SPACE):
    (tmp_path / "s.yaml").write_text(text)
    return load(tmp_path / "s.yaml", "laptop", {}, {})


def settings(**keys):
    """Of a trial that fixed some keys and searched others: all are settings of it."""
    own = {"backbone.family": "resnet", "backbone.size": "atto", "aux_weight": 0.5, "optim.lr": 1e-3}
    return settings_of(build({**own, "optim.batch_size": 32, **{key.replace("__", "."): keys[key] for key in keys}}))


def test_values_inside_the_space_are_taken_and_fixed_keys_stay_those_of_the_space(tmp_path):
    found = mapped(settings(data__image_size=128, optim__epochs=100), space_of(tmp_path))
    assert found.outside == {}
    assert {name.split("@")[0]: value for name, value in found.point.items()} == {
        "backbone.family": "resnet",
        "backbone.size": "atto",
        "auxiliary": True,
        "aux_weight": 0.5,
        "optim.lr": 1e-3,
        "optim.batch_size": 32,
    }


@pytest.mark.parametrize(
    ("key", "value"), [("optim__lr", 0.05), ("optim__batch_size", 24), ("aux_weight", 0.95), ("backbone__size", "tiny")]
)
def test_a_value_outside_of_its_choices_range_or_steps_is_left_to_be_drawn(tmp_path, key, value):
    found = mapped(settings(**{key: value}), space_of(tmp_path))
    assert dict(found.outside) == {key.replace("__", "."): value}
    assert key.replace("__", ".") not in {name.split("@")[0] for name in found.point}


def test_what_is_not_drawn_there_is_not_taken(tmp_path):
    found = mapped(settings(auxiliary=False), space_of(tmp_path))
    assert "aux_weight" not in found.point
    assert found.outside == {}


def test_what_waits_for_a_value_outside_is_left_to_be_drawn(tmp_path):
    found = mapped(settings(auxiliary=False), space_of(tmp_path, SPACE.replace("[on, off]", "[on]")))
    assert {"auxiliary", "aux_weight"} <= found.outside.keys()


def test_a_backbone_is_known_by_its_name_and_by_family_and_size(tmp_path):
    of_family = settings()
    named = settings_of(build({"backbone.name": of_family["backbone.name"]}))
    assert (named["backbone.family"], named["backbone.size"]) == ("resnet", "atto")
    text = SPACE.replace("backbone.family: [vit, resnet]", f"backbone.name: [{of_family['backbone.name']}]")
    text = text.replace("  backbone.size: [atto, femto]\n", "")
    assert mapped(of_family, space_of(tmp_path, text)).point["backbone.name"] == of_family["backbone.name"]


@pytest.mark.parametrize(
    ("best", "epochs_then", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        ([0.1, 0.2], 6, (0.1, 0.2)),
        ([0.1, 0.2, 0.3], 3, (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)),
        ([0.01 * epoch for epoch in range(1, 13)], 12, (0.02, 0.04, 0.06, 0.08, 0.1, 0.12)),
        ([0.01 * epoch for epoch in range(1, 6)], 12, (0.02, 0.04)),
    ],
)
def test_scores_are_those_at_the_same_share_of_a_run(tmp_path, best, epochs_then, expected):
    found = taken_over("0000", settings(), best, epochs_then, space_of(tmp_path))
    assert found.scores == pytest.approx(expected)


def test_what_cannot_be_taken_over_says_why(tmp_path):
    space = space_of(tmp_path)
    assert taken_over("0", settings(), [0.1], 100, space) == "shorter than the first epoch here"
    assert "backbone.family" in taken_over("0", settings(backbone__family="convnext"), [0.1] * 6, 6, space)
    assert taken_over("0", settings(), [0.1, float("nan")] * 3, 6, space) == "shorter than the first epoch here"


def test_the_best_of_each_family_is_tried_first_and_others_until_there_are_enough_to_tell(tmp_path):
    space = space_of(tmp_path)
    tried = {
        "0000": (settings(), [0.5] * 2),
        "0001": (settings(optim__lr=2e-3), [0.4] * 6),
        "0002": (settings(backbone__family="vit"), [0.3] * 6),
        "0003": (settings(optim__lr=3e-3), [0.2] * 6),
        "0004": (settings(optim__lr=4e-3), [0.1] * 2),
        "0005": (settings(optim__lr=4e-3), [0.15] * 2),  # the same point again
        "0006": (settings(optim__lr=0.5), [0.1] * 6),  # not whole
    }
    trials = ranked(taken_over(name, keys, best, 6, space) for name, (keys, best) in tried.items())
    assert [trial.name for trial in trials] == ["0001", "0002", "0003", "0006", "0000", "0005", "0004"]
    assert tried_first(trials, space) == ("0001", "0002", "0003", "0000", "0005")
