"""How settings are validated: types, rules, messages."""

import json
import math

import pytest

from lssat.config import ADDED_KEYS, RENAMED_KEYS, Config, build, check_key, check_value, describe, keys, saved_config
from lssat.errors import ConfigError


@pytest.mark.parametrize(
    ("flat", "parts"),
    [
        ({"optim.lrr": 1}, ["unknown key `optim.lrr`", "`optim.lr`"]),
        ({"lr": 1}, ["did you mean `optim.lr`"]),
        ({"masking.ratio": 1.2}, ["`masking.ratio`", "less than 1", "1.2"]),
        ({"optim.lr": "fast"}, ["`optim.lr`", "number", "'fast'"]),
        ({"optim.lr": float("nan")}, ["`optim.lr`", "nan"]),
        ({"optim.batch_size": "64"}, ["`optim.batch_size`", "integer"]),
        ({"optim.epochs": 2.5}, ["`optim.epochs`", "2.5"]),
        ({"auxiliary": 1}, ["`auxiliary`"]),
        ({"aux_weight": 1.0}, ["`aux_weight`", "less than 1"]),
        ({"streams": "MRGB/RXXX/CRGB"}, ["`streams`", "RGB, LBP, LDP"]),
        ({"data.image_size": 70}, ["`data.image_size`", "`masking.unit`", "70"]),
        ({"optim.epochs": 2, "optim.warmup_epochs": 2.0}, ["`optim.warmup_epochs`", "`optim.epochs`"]),
        ({"streams": "MRGB/RRGB/CRGB", "target.encoding": "bits"}, ["RGB target", "scaled"]),
        ({"streams": "MRGB/RRGB/CRGB", "target.rgb_weight": 0.5}, ["`target.rgb_weight`", "must be 0", "RLDP"]),
        ({"target.rgb_weight": 1.0}, ["`target.rgb_weight`", "less than 1"]),
        ({"texture.lbp_method": "rotated"}, ["`texture.lbp_method`", "'nri_uniform'", "'rotated'"]),
        (
            {"streams": "MRGB/RLBP/CRGB", "target.encoding": "bits", "texture.lbp_points": 9},
            ["default and `texture.lbp_points` <= 8", "9 points"],
        ),
        (
            {"streams": "MRGB/RLBP/CRGB", "target.encoding": "bits", "texture.lbp_method": "ror"},
            ["`texture.lbp_method` default", "got ror"],
        ),
        (
            {"streams": "MRGB/RLBP/CRGB", "target.encoding": "bits", "texture.lbp_method": "var"},
            ["var has no codes", "scaled"],
        ),
        (
            {"streams": "MRGB/RLBP/CRGB", "target.encoding": "histogram", "texture.lbp_method": "var"},
            ["var has no codes", "scaled"],
        ),
        (
            {"streams": "MRGB/RLBP/CRGB", "target.encoding": "histogram", "texture.lbp_points": 9},
            ["256 bins", "<= 8", "default with 9 points"],
        ),
        (
            {
                "streams": "MRGB/RLBP/CRGB",
                "target.encoding": "histogram",
                "texture.lbp_points": 12,
                "texture.lbp_method": "ror",
            },
            ["256 bins", "<= 11", "ror with 12 points"],
        ),
        ({"target.norm_pix": True, "target.encoding": "bits"}, ["`target.norm_pix`"]),
        ({"resources.num_workers": 3, "optim.batch_size": 64}, ["`resources.num_workers`", "`optim.batch_size`"]),
    ],
)
def test_refusal_names_rule_value_and_location(flat, parts):
    with pytest.raises(ConfigError) as error:
        build(flat, {key: "spaces/my.yaml:7" for key in flat})
    for part in [*parts, "spaces/my.yaml:7"]:
        assert part in str(error.value)


def test_rules_of_a_texture_bind_only_where_it_is_the_target():
    for settings in (
        {"streams": "MLBP/RLDP/CRGB", "target.encoding": "bits", "texture.lbp_method": "var"},
        {"streams": "MRGB/RRGB/CRGB", "target.rgb_weight": 0.5, "auxiliary": False},
        {
            "streams": "MRGB/RLBP/CRGB",
            "target.encoding": "histogram",
            "texture.lbp_points": 16,
            "texture.lbp_method": "nri_uniform",
        },
    ):
        assert build(settings).flat().items() >= settings.items()


def test_numbers_with_exponents_are_numbers():
    assert build({"optim.batch_size": 1e2}).optim.batch_size == 100
    assert build({"optim.lr": 1}).optim.lr == 1


def test_hash_names_the_configuration():
    assert build({"optim.lr": 2e-3}).hash() == build({"optim.lr": 2e-3, "seed": 0}).hash()
    assert build({"optim.lr": 2e-3}).hash() != build({"optim.lr": 2e-3, "seed": 1}).hash()


def test_a_hash_is_that_of_the_version_before_keys_were_renamed():
    assert build({}).hash() == "154c218d"
    assert build({"texture.lbp_points": 16, "texture.ldp_signed": True}).hash() == "ebc3d814"
    assert build({"optim.tune": "head"}).hash() == "c27d28f6"
    assert build({"optim.tune": "norms"}).hash() not in ("154c218d", "c27d28f6")


@pytest.mark.parametrize(("key", "wrong"), [("data.class_names", ["a", "a"]), ("optim.tune", "norm")])
def test_a_rule_of_one_setting_is_said_once_wherever_it_is_checked(key, wrong):
    for refuse in (lambda: build({key: wrong}, {key: "s.yaml:3"}), lambda: check_value(key, wrong, "s.yaml:3")):
        with pytest.raises(ConfigError, match=rf"^`{key}` must be [^`]* but got [^`]* \(s\.yaml:3\)$"):
            refuse()


@pytest.mark.parametrize("key", ADDED_KEYS)
def test_a_key_that_came_later_changes_no_hash_but_where_it_is_set(key):
    """To another value than that by which nothing was done before it came."""
    assert build({key: Config().flat()[key]}).hash() == build({}).hash()
    held_out = {"data.hold_out": "method", "data.held_out": ["a"]}
    set_to = {
        "data.class_names": {key: ["a", "b"]},
        "data.weights": {key: {"a": 1.0, "b": 2.0}},
        "data.hold_out": held_out,
        "data.held_out": held_out,
        "data.validate_on": {key: "b", "data.source": ["a", "b"]},
        "data.align": {key: "upright"},
        "objective.over": {key: "worst"},
        "resources.activation_checkpointing": {key: True},
    }
    changed = set_to.get(key, {key: 0.25})
    others = {name: value for name, value in changed.items() if name not in ADDED_KEYS}
    assert build(changed).hash() != build(others).hash()


def test_weights_of_data_sets_are_one_setting():
    config = build({"data.weights": {"a": 1, 7: 2.5}})
    assert config.data.weights == {"a": 1.0, "7": 2.5} and config.flat()["data.weights"] == {"a": 1.0, "7": 2.5}
    assert saved_config(json.loads(json.dumps(config.model_dump()))) == config == build(config.flat())
    for weights in ({"a": 0}, {"a": -1.0}, {"a": math.nan}, {"a": "much"}, {}, 3):
        with pytest.raises(ConfigError, match=r"`data\.weights` .*but got"):
            build({"data.weights": weights})


def test_pairs_need_an_even_batch():
    with pytest.raises(ConfigError, match=r"paired needs an even `optim.batch_size`, but got 7 \(my:3\)"):
        build({"data.sampling": "paired", "optim.batch_size": 7}, {"optim.batch_size": "my:3"})


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_key_is_answered_with_the_new_one(old, new):
    value = build({}).flat()[new]
    for refuse in (lambda: build({old: value}, {old: "spaces/my.yaml:3"}), lambda: check_key(old, "spaces/my.yaml:3")):
        with pytest.raises(ConfigError) as error:
            refuse()
        assert str(error.value) == f"`{old}` is called `{new}` now (spaces/my.yaml:3)"


def test_what_an_older_version_saved_is_read():
    settings = {"texture.lbp_points": 16, "texture.ldp_k": 2, "optim.lr": 2e-3, "data.classes": ["a", "b"]}
    config = build({**settings, "optim.tune": "head"})
    old_names = {new: old for old, new in RENAMED_KEYS.items()}
    old = {old_names.get(key, key): value for key, value in config.flat().items()}
    nested = config.model_dump()
    nested["target"] |= nested.pop("texture")
    nested["backbone"]["trainable"] = nested["optim"].pop("tune")
    for tree in (config.flat(), config.model_dump(), old, nested, {"target.lbp_points": 16} | config.flat()):
        assert saved_config(tree) == config


def test_the_texture_stands_before_the_target_that_is_made_of_it():
    sections = list(dict.fromkeys(key.partition(".")[0] for key in keys()))
    assert sections[sections.index("texture") + 1] == "target"


def test_a_value_alone_is_not_held_against_rules_between_keys():
    check_value("optim.epochs", 1)
    with pytest.raises(ConfigError):
        check_value("optim.epochs", 0)


def test_auxiliary_needs_both_switch_and_weight():
    assert build({}).trains_auxiliary
    assert not build({"auxiliary": False}).trains_auxiliary
    assert not build({"aux_weight": 0}).trains_auxiliary


def test_every_key_is_described():
    assert len(describe()) == len(keys())
    assert all(line.split("] ", 1)[1] != "None" for line in describe())


def test_round_trip():
    config = build({"data.classes": [0, 1], "masking.ratio": 0.5})
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert build(config.flat()) == config


@pytest.mark.parametrize("epochs", [1, 1.0])
def test_a_warmup_that_nobody_asked_for_gives_way_to_one_epoch(epochs):
    assert build({"optim.epochs": epochs}).optim.warmup_epochs == 0.5
    assert build(build({"optim.epochs": epochs}).flat()).hash() == build({"optim.epochs": epochs}).hash()
    assert [build({"optim.epochs": more}).optim.warmup_epochs for more in (2, 100)] == [1.0, 1.0]
    with pytest.raises(ConfigError, match=r"`optim.warmup_epochs` must be less than `optim.epochs`"):
        build({"optim.epochs": epochs, "optim.warmup_epochs": 1.0})
