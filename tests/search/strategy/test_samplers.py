"""What is tried first."""

import optuna
import pytest
from optuna.samplers import RandomSampler

from search.space.file import load
from search.strategy.samplers import first_points

SPACE = """
fixed: {optim.epochs: 4}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, femto]
  auxiliary: [off, on]
  streams: [MRGB/RRGB/CRGB, MRGB/RLDP/CRGB]
  target.encoding:
    - {choices: [scaled], when: {streams: [MRGB/RRGB/CRGB]}}
    - {choices: [bits, scaled], when: {streams: [MRGB/RLDP/CRGB]}}
  aux_weight: [0.1, 0.5]
  masking.ratio: {low: 0.4, high: 0.7}
  optim.lr: {low: 1e-4, high: 1e-2, log: on}
"""


def points(tmp_path, text=SPACE, pinned=(), **search):
    (tmp_path / "s.yaml").write_text(text)
    return first_points(load(tmp_path / "s.yaml", "laptop", dict(pinned), search))


def test_the_published_method_on_each_family(tmp_path):
    """0.9 and 0.75 lie outside of the space: the nearest numbers in it are taken; size and learning rate are not
    published.
    """
    expected = {"auxiliary": True, "streams": "MRGB/RLDP/CRGB", "aux_weight": 0.5, "masking.ratio": 0.7}
    found = points(tmp_path)
    assert [point.pop("backbone.family") for point in found] == ["vit", "resnet"]
    for point in found:
        assert point.pop(next(name for name in point if name.startswith("target.encoding"))) == "scaled"
        assert point == expected


def test_what_is_pinned_is_not_overruled(tmp_path):
    found = points(tmp_path, pinned={"auxiliary": False, "backbone.family": "vit"})
    assert found == [{"streams": "MRGB/RLDP/CRGB"}]


def test_no_more_than_there_are_trials(tmp_path):
    assert len(points(tmp_path, num_trials=1)) == 1


def test_a_grid_queues_every_point(tmp_path):
    text = SPACE.replace("{low: 0.4, high: 0.7}", "[0.6, 0.75]").replace("{low: 1e-4, high: 1e-2, log: on}", "[1e-3]")
    found = points(tmp_path, text, sampler="grid", scheduler="none")
    backbones, without, encodings, weights_and_ratios = 3, 2, 1 + 2, 2 * 2  # vit has no femto
    assert len(found) == backbones * (without + encodings * weights_and_ratios)


@pytest.mark.parametrize("key", ["backbone.name"])
def test_each_name_where_names_are_searched(tmp_path, key):
    found = points(tmp_path, f"space:\n  {key}: [resnet18, convnext_tiny]\n  masking.ratio: [0.5, 0.75]\n")
    assert found == [{key: "resnet18", "masking.ratio": 0.75}, {key: "convnext_tiny", "masking.ratio": 0.75}]


def test_null_among_the_choices_of_a_key_that_is_not_published_pins_nothing(tmp_path):
    """Null is no published value: `backbone.patch_size` is drawn, and `masking.ratio` takes its nearest number."""
    text = """
fixed: {masking.unit: 8}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto]
  backbone.patch_size: {choices: [null, 8], when: {backbone.family: [vit]}}
  masking.ratio: [null, 0.5]
"""
    found = points(tmp_path, text)
    assert found == [
        {"backbone.family": "vit", "masking.ratio": 0.5},
        {"backbone.family": "resnet", "masking.ratio": 0.5},
    ]
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    for _ in range(20):
        study.enqueue_trial(found[0])
    drawn = [space.sample(study.ask()) for _ in range(20)]
    assert {sampled["backbone.patch_size"] for sampled in drawn} == {None, 8}
    assert {sampled["masking.ratio"] for sampled in drawn} == {0.5}


def test_a_name_does_not_replace_the_family_of_a_first_point(tmp_path):
    text = """
space:
  backbone.name: [resnet18, null]
  backbone.family: {choices: [vit, resnet], when: {backbone.name: [null]}}
  backbone.size: {choices: [atto], when: {backbone.name: [null]}}
"""
    assert points(tmp_path, text) == [
        {"backbone.name": None, "backbone.family": "vit"},
        {"backbone.name": None, "backbone.family": "resnet"},
    ]
