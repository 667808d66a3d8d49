"""Spaces: precedence, conditions, and one clear message for everything that is wrong."""

import random
from pathlib import Path

import pytest

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.model import catalog
from search.space.file import load

SPACES = Path(__file__).resolve().parents[3] / "spaces"
BASE = """
fixed:
  optim.epochs: 4
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, nano, huge]
  auxiliary: [on, off]
  aux_weight: {low: 0.1, high: 0.9, when: {auxiliary: [on]}}
  optim.lr: {low: 1e-4, high: 1e-2, log: on}
search: {num_trials: 7}
profiles:
  laptop: {}
  gpu:
    fixed: {aux_weight: 0.5}
    space: {backbone.family: [vit, swin], backbone.size: [base, large], optim.lr: null}
    search: {num_trials: 99}
"""


class RandomTrial:
    """Draws like Optuna would, and remembers under which names."""

    def __init__(self, seed):
        self.random, self.names = random.Random(seed), {}

    def suggest_categorical(self, name, choices):
        assert self.names.setdefault(name, choices) == choices
        return self.random.choice(choices)

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.names[name] = (low, high)
        return self.random.uniform(low, high)

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.names[name] = (low, high)
        return self.random.randint(low, high)


def write(tmp_path, text):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


def space(tmp_path, text=BASE, profile="laptop", pinned=None, search=None):
    return load(write(tmp_path, text), profile, pinned or {}, search or {})


def samples(found, number=100):
    return [found.sample(RandomTrial(seed)) for seed in range(number)]


def test_conditions_read_resolved_values(tmp_path):
    for sample in samples(space(tmp_path)):
        assert ("aux_weight" in sample) == sample["auxiliary"]
        assert 1e-4 <= sample["optim.lr"] <= 1e-2
    pinned = samples(space(tmp_path, pinned={"auxiliary": False}))
    assert not any("aux_weight" in sample for sample in pinned)


def test_every_sampled_family_has_its_size(tmp_path):
    found = space(tmp_path)
    for sample in samples(found):
        catalog.lookup(sample["backbone.family"], sample["backbone.size"])
    assert {sample["backbone.size"] for sample in samples(found) if sample["backbone.family"] == "resnet"} == {
        "atto",
        "nano",
    }
    assert {sample["backbone.size"] for sample in samples(found) if sample["backbone.family"] == "vit"} == {
        "atto",
        "huge",
    }


def test_one_name_has_one_list_of_choices(tmp_path):
    names = {}
    for seed in range(50):
        trial = RandomTrial(seed)
        space(tmp_path).sample(trial)
        for name, choices in trial.names.items():
            assert names.setdefault(name, choices) == choices


def test_precedence(tmp_path):
    gpu = space(tmp_path, profile="gpu")
    assert gpu.search.num_trials == 99
    assert gpu.fixed["aux_weight"] == 0.5
    assert "aux_weight" not in gpu.searched_keys
    assert "optim.lr" not in gpu.searched_keys
    pinned = space(
        tmp_path, profile="gpu", pinned={"aux_weight": 0.2, "backbone.family": "vit"}, search={"num_trials": 3}
    )
    assert pinned.fixed["aux_weight"] == 0.2
    assert "backbone.family" not in pinned.searched_keys
    assert pinned.search.num_trials == 3


def test_every_sample_is_a_configuration(tmp_path):
    assert all(isinstance(build(sample), Config) for sample in samples(space(tmp_path)))


def replaced(old, new):
    assert old in BASE
    return BASE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (replaced("[vit, resnet]", "[vit, resnot]"), ["resnot", "resnet", "my.yaml:5"]),
        (replaced("aux_weight: {low: 0.1, high", "aux_wait: {low: 0.1, high"), ["aux_wait", "aux_weight", "my.yaml:8"]),
        (replaced("low: 0.1", "low: 1.2"), ["aux_weight", "1.2", "my.yaml:8"]),
        (replaced("low: 0.1", "low: 0.95"), ["low < high", "my.yaml:8"]),
        (replaced("low: 1e-4", "low: 0"), ["optim.lr", "my.yaml:9"]),
        (replaced("low: 1e-4", "low: tiny"), ["optim.lr", "'tiny'", "my.yaml:9"]),
        (replaced("optim.epochs: 4", "optim.epochs: many"), ["optim.epochs", "'many'", "my.yaml:3"]),
        (replaced("optim.epochs: 4", "masking.ratio: 1.2"), ["masking.ratio", "1.2", "my.yaml:3"]),
        (replaced("{auxiliary: [on]}", "{auxilary: [on]}"), ["auxilary", "auxiliary", "my.yaml:8"]),
        (replaced("{auxiliary: [on]}", "{backbone.family: [swin]}"), ["swin", "none of its choices", "my.yaml:8"]),
        (replaced("[atto, nano, huge]", "[pico]"), ["none of the sizes", "my.yaml:5"]),
        (replaced("[atto, nano, huge]", "[]"), ["at least one choice", "my.yaml:6"]),
        (replaced("[atto, nano, huge]", "[atto, giant]"), ["giant", "my.yaml:6"]),
        (replaced("[on, off]", "[on, on]"), ["twice", "my.yaml:7"]),
        (replaced("num_trials: 7", "num_trails: 7"), ["num_trails", "num_trials", "my.yaml:10"]),
        (replaced("num_trials: 7", "num_trials: 0"), ["num_trials", "0", "my.yaml:10"]),
        (replaced("search:", "serach:"), ["serach", "search", "my.yaml:10"]),
        (
            replaced("auxiliary: [on, off]", "optim.epochs: [2, 4]"),
            ["optim.epochs", "equal for all trials", "my.yaml:7"],
        ),
        (replaced("  optim.epochs: 4", "  optim.epochs: 4\n  optim.epochs: 5"), ["twice", "my.yaml:4"]),
        (replaced("[vit, resnet]", "[vit, resnet"), ["broken YAML", "my.yaml:"]),
        (replaced("low: 1e-4,", "low: 1e-4, hihg: 2,"), ["hihg", "my.yaml:9"]),
        ("- a\n- b\n", ["mapping"]),
    ],
)
def test_refusal_names_file_line_and_repair(tmp_path, text, parts):
    with pytest.raises(ConfigError) as error:
        space(tmp_path, text)
    for part in parts:
        assert part in str(error.value)


def test_circular_conditions_are_refused(tmp_path):
    text = (
        "space:\n  auxiliary: {choices: [on, off], when: {seed: [1]}}\n  seed: {choices: [1, 2], when: {auxiliary: "
        "[on]}}\n"
    )
    with pytest.raises(ConfigError, match="wait for each other"):
        space(tmp_path, text)


def test_missing_file_and_profile(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml", "laptop", {}, {})
    with pytest.raises(ConfigError, match=r"unknown profile `cloud`; .* has laptop, gpu"):
        space(tmp_path, profile="cloud")


def test_exponents_are_numbers(tmp_path):
    found = space(tmp_path, "fixed: {optim.lr: 1e-3, optim.batch_size: 1e2, optim.weight_decay: 1.0e-2}")
    config = found.example()
    assert (config.optim.lr, config.optim.batch_size, config.optim.weight_decay) == (1e-3, 100, 1e-2)


def test_keys_with_variants_get_names_of_their_own(tmp_path):
    text = """
space:
  streams: [MRGB/RRGB/CRGB, MRGB/RLDP/CRGB]
  target.encoding:
    - {choices: [scaled], when: {streams: [MRGB/RRGB/CRGB]}}
    - {choices: [scaled, bits, histogram], when: {streams: [MRGB/RLDP/CRGB]}}
"""
    found = space(tmp_path, text)
    for sample in samples(found):
        assert build(sample).target.encoding == sample["target.encoding"]
    assert len({parameter.name for parameter in found.parameters}) == 3


GRID = """
space:
  seed: [0, 1]
  auxiliary: [off, on]
  streams: {choices: [MRGB/RLBP/CRGB, MRGB/RLDP/CRGB], when: {auxiliary: [on]}}
  optim.lr: {low: 1e-3, high: 3e-3, step: 1e-3}
search: {sampler: grid}
"""


def test_a_grid_has_every_point_once_and_keeps_the_order_of_the_file(tmp_path):
    found = space(tmp_path, GRID)
    points = found.points()
    assert found.search.num_trials == len(points) == 2 * (1 + 2) * 3
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)
    assert [point["seed"] for point in points] == [0] * 9 + [1] * 9
    assert sorted({point["optim.lr"] for point in points}) == pytest.approx([1e-3, 2e-3, 3e-3])
    assert all(("streams" in point) == point["auxiliary"] for point in points)


def test_a_grid_refuses_what_it_cannot_enumerate(tmp_path):
    with pytest.raises(ConfigError, match=r"`step`.*optim\.lr"):
        space(tmp_path, GRID.replace(", step: 1e-3", ""))
    with pytest.raises(ConfigError, match="num_trials"):
        space(tmp_path, GRID.replace("sampler: grid", "sampler: grid, num_trials: 3"))


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_the_spaces_that_ship_are_valid(path, profile):
    assert load(path, profile, {}, {}).search.num_trials >= 6


@pytest.mark.parametrize("task", ["emotion", "attributes", "deepfake"])
def test_the_grid_of_backbones_is_the_same_for_each_task(task):
    assert (
        load(SPACES / "per_task.yaml", "laptop", {"data.task": task}, {}).points()
        == load(SPACES / "per_task.yaml", "laptop", {}, {}).points()
    )
