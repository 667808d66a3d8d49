"""What contradicts itself is refused before launch, with its line and the repair; what a command line changes for a try
is not.
"""

from dataclasses import replace

import pytest

from lssat.errors import ConfigError
from search.space.file import load, with_search
from search.space.settings import SearchConfig

SPACE = """space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, tiny]
  optim.lr: {low: 1e-4, high: 1e-2, log: on}
"""


def space(tmp_path, text, search=None, **pinned):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return load(path, "laptop", pinned, search or {})


def refused(tmp_path, text, parts):
    with pytest.raises(ConfigError) as error:
        space(tmp_path, text)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("search", "parts"),
    [
        ("objectives: []", ["begin with score"]),
        ("objectives: [parameters, score]", ["begin with score"]),
        ("objectives: [score, gap, gap]", ["twice"]),
        ("objectives: [score, gap]", ["objective.subgroups"]),
        ("objectives: [score, speed]", ["search.objectives", "'speed'"]),
        ("max_epochs: 3", ["at least one trial", "optim.epochs"]),
        ("scheduler: promotion, grace_epochs: 1, reduction_factor: 3, max_epochs: 24", ["takes 45 epochs", "raise it"]),
        ("scheduler: promotion, patience: 3", ["pause", "max_epochs"]),
        ("max_gpu_hours: 3", ["resources.gpus_per_worker", "max_hours"]),
        ("min_improvement: 0.1", ["search.patience"]),
        ("grace_epochs: 10", ["less than `optim.epochs` 10", "none"]),
        ("sampler: nsga2, startup_trials: 1", ["population"]),
        ("sampler: gp", ["full budget", "scheduler", "none"]),
        ("num_trials: 5, startup_trials: 6", ["at most `search.num_trials` 5"]),
        ("sampler: grid", ["`step`", "optim.lr"]),
        ("sampler: grid, num_trials: 3", ["num_trials"]),
        ("seed: 50000", ["search.seed", "40000"]),
        ("max_hours: .nan", ["search.max_hours"]),
        ("rotate: on", ["`search.rotate`", "name the column by `data.hold_out`"]),
    ],
)
def test_search_settings(tmp_path, search, parts):
    line = "my.yaml:4" if "`step`" in parts else "my.yaml:5"
    refused(tmp_path, f"{SPACE}search: {{{search}}}\n", [*parts, line])


def test_what_is_over_held_out_values_needs_these_to_rotate_and_a_final_stage(tmp_path):
    held_out = "data: {hold_out: method, held_out: [warp]}\n"
    over = f"{SPACE}objective: {{over: worst}}\n"
    refused(tmp_path, over, ["`objective.over` worst", "`search.rotate`", "my.yaml:5"])
    refused(
        tmp_path, f"{SPACE}{held_out}search: {{rotate: on, finalists: 0}}\n", ["`search.finalists` is 0", "my.yaml:6"]
    )
    whole = space(tmp_path, f"{over}{held_out}search: {{rotate: on}}\n")
    assert whole.search.rotate and whole.example().objective.over == "worst"


def test_what_makes_them_whole(tmp_path):
    text = SPACE + "search: {objectives: [score, gap], max_gpu_hours: 3, min_improvement: 0.1, patience: 3}\n"
    pinned = {"objective.subgroups": ["Male"], "resources.gpus_per_worker": 1}
    assert space(tmp_path, text, **pinned).search.patience == 3
    assert (
        space(
            tmp_path, SPACE + "resources: {tiny: {gpus_per_worker: 1}}\nsearch: {max_gpu_hours: 3}\n"
        ).search.max_gpu_hours
        == 3
    )


def test_a_short_try_from_the_command_line_is_no_contradiction(tmp_path):
    text = SPACE + "search: {num_trials: 12, startup_trials: 8, grace_epochs: 3}\n"
    assert space(tmp_path, text, {"num_trials": 2}, **{"optim.epochs": 2}).search.num_trials == 2


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("space: {seed: [1, 2, 3]}\nsearch: {sampler: grid, scheduler: none}\n", {}),
        (SPACE + "search: {grace_epochs: 3}\n", {"optim.epochs": 2}),
        (SPACE + "search: {startup_trials: 8, num_trials: 4}\n", {}),
    ],
    ids=["a grid", "a short try", "few trials"],
)
def test_a_recorded_study_takes_other_settings_of_its_search(tmp_path, text, pinned):
    """Its manifest has a value for every setting, and no location: none of them was meant to contradict another."""
    (tmp_path / "my.yaml").write_text(text)
    asked = {"num_trials": 4} if "num_trials" in text else {}
    recorded = load(tmp_path / "my.yaml", "laptop", pinned, asked)
    recorded = replace(recorded, search=SearchConfig(**recorded.search.model_dump()), locations={})
    again = with_search(recorded, {"finalists": 1})
    assert again.search == recorded.search.model_copy(update={"finalists": 1})


@pytest.mark.parametrize("sampler", ["gp", "nsga2"])
def test_a_sampler_that_models_shared_keys_only_wants_no_others(tmp_path, sampler):
    search = f"search: {{sampler: {sampler}, scheduler: none}}\n"
    assert space(tmp_path, SPACE + search).search.sampler == sampler
    conditional = SPACE.replace("[atto, tiny]", "[atto, femto, tiny]") + search  # ResNet has no femto
    refused(tmp_path, conditional, ["backbone.size", "depends on `backbone.family`", "take tpe", "my.yaml:5"])
    assert space(tmp_path, conditional, **{"backbone.family": "vit"}).search.sampler == sampler
    refused(
        tmp_path,
        f"space:\n  auxiliary: [on, off]\n  aux_weight: [0.1, 0.5]\n{search}",
        ["depends on `auxiliary`", "my.yaml:4"],
    )


def test_a_grid_without_end_is_refused(tmp_path):
    refused(
        tmp_path,
        "space:\n  seed: {low: 0, high: 4000000000, step: 1}\nsearch: {sampler: grid}\n",
        ["at most 10000 points", "my.yaml:3"],
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "fixed: {auxiliary: off}\nspace:\n  seed: {choices: [1, 2], when: {auxiliary: [on]}}",
            ["`seed` is never drawn", "auxiliary: True", "my.yaml:3"],
        ),
        ("fixed: {auxiliary: off}\nspace:\n  aux_weight: [0.1, 0.5]", ["`aux_weight` is never drawn", "my.yaml:3"]),
        (
            "space:\n  seed: {choices: [1, 2], when: {backbone.family: [resnet]}}",
            ["`seed` is never drawn", "my.yaml:2"],
        ),
        (
            "space:\n  backbone.size: {choices: [atto], when: {backbone.family: [resnet]}}",
            ["`backbone.size` is never drawn", "my.yaml:2"],
        ),
        (
            "space:\n  auxiliary: [on, off]\n  augment.flip: {choices: [on, off], when: {auxiliary: [on]}}\n"
            "  seed: {choices: [1, 2], when: {augment.flip: [off], auxiliary: [off]}}",
            ["`seed` is never drawn", "my.yaml:4"],
        ),
        ("space:\n  seed: {choices: [1, 2], when: {auxiliary: []}}", ["waits for no value", "my.yaml:2"]),
        (
            "space:\n  optim.lr: {low: 1e-3, high: 1e-2}\n  seed: {choices: [1, 2], when: {optim.lr: [1e-3]}}",
            ["which is a range", "my.yaml:3"],
        ),
        ("space:\n  seed: {choices: [1, 2], when: {seeds: [1]}}", ["seeds", "my.yaml:2"]),
        ("space:\n  seed:\n    - {choices: [1, 2]}\n    - {choices: [3, 4]}", ["two entries of `seed`", "my.yaml:4"]),
        ("space:\n  seed: null", ["is not searched", "my.yaml:2"]),
        (
            "space:\n  optim.lr: {low: 1e-3, high: 1e-2, step: 4e-3}",
            ["whole number of steps", "high: 0.009", "my.yaml:2"],
        ),
        ("space:\n  decoder.depth: {low: 1, high: 3, step: 0.5}", ["positive integer", "0.5", "my.yaml:2"]),
        ("space:\n  optim.lr: {low: 1e-3, high: 1e-2, step: 1e-3, log: on}", ["does not go with log", "my.yaml:2"]),
        ("space:\n  optim.lr: [1, 1.0]", ["twice", "my.yaml:2"]),
        ("fixed: {backbone.size: femto}\nspace:\n  backbone.family: [vit, resnet]", ["resnet comes as", "my.yaml:1"]),
        (
            "space:\n  backbone.name: [test_vit, test_resnet]\n  backbone.size: [atto, tiny]",
            ["instead of family and size", "my.yaml:3"],
        ),
        ("data: {seed: 1}\nfixed: {data.seed: 2}", ["written twice", "my.yaml:2"]),
        ("fixed: {optim: {lr: 1}}", ["unknown key `optim`", "my.yaml:1"]),
        ("fixed: &a {seed: 1, x: *a}", ["alias", "my.yaml:1"]),
        ("fixed: {<<: {seed: 1}}", ["write the keys out", "my.yaml:1"]),
        ("fixed: {seed: 99999999999999999999}", ["2**63", "my.yaml:1"]),
    ],
)
def test_conditions_and_entries(tmp_path, text, parts):
    refused(tmp_path, text + "\n", parts)


def test_conditions_nest_and_read_what_is_not_drawn_at_its_default(tmp_path):
    text = """space:
  auxiliary: [on, off]
  augment.flip: {choices: [off], when: {auxiliary: [off]}}
  seed:
    - {choices: [1, 2], when: {augment.flip: [on]}}
    - {choices: [3], when: {augment.flip: [off]}}
"""
    points = space(tmp_path, text).points()
    assert [point["seed@augment.flip=True"] for point in points if point["auxiliary"]] == [1, 2]
    assert [point["seed@augment.flip=False"] for point in points if not point["auxiliary"]] == [3]
