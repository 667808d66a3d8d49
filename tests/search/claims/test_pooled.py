"""The texture on each backbone and over all: differences by hand, words that go with their intervals."""

import numpy as np
import pytest

from search.claims.pooled import Help, texture
from search.claims.runs import Runs

PAIRS = {net: ([f"{net} on"], [f"{net} off"]) for net in ("resnet", "swin", "vit")}


def runs_of(effects, spread=0.005, seeds=3, units=1000, **more):
    luck = np.random.default_rng(0)
    names = [(f"{net} {side}", seed) for net in effects for side in ("off", "on") for seed in range(seeds)]
    gains = {f"{net} on": effect for net, effect in effects.items()}
    scores = np.array([0.8 + gains.get(arm, 0.0) + spread * luck.standard_normal() for arm, _ in names])
    covariance = 1e-8 * np.eye(len(names))
    return Runs(tuple(arm for arm, _ in names), tuple(seed for _, seed in names), scores, covariance, units, **more)


def words(found):
    return [effect.word for effect in found.each], found.pooled.word, found.differs


def test_a_texture_that_helps_all_is_said_to():
    found = texture(runs_of(dict.fromkeys(PAIRS, 0.1)), PAIRS)
    assert words(found) == ([Help.HELPS] * 3, Help.HELPS, False)
    assert found.pooled.difference == pytest.approx(np.mean([effect.difference for effect in found.each]))
    assert found.pooled.high - found.pooled.low < found.each[0].high - found.each[0].low


def test_backbones_that_are_torn_are_said_to_differ():
    found = texture(runs_of({"resnet": 0.1, "swin": -0.1, "vit": 0.0}), PAIRS)
    assert [effect.word for effect in found.each[:2]] == [Help.HELPS, Help.HARMS]
    assert found.differs
    assert found.pooled.word not in (Help.HELPS, Help.HARMS)


def test_no_effect_to_speak_of_is_equivalent_or_cannot_be_told():
    assert texture(runs_of(dict.fromkeys(PAIRS, 0.0), spread=0.001), PAIRS).pooled.word is Help.EQUIVALENT
    assert texture(runs_of(dict.fromkeys(PAIRS, 0.0), spread=0.05), PAIRS).pooled.word is Help.UNTOLD


def test_of_several_arms_their_mean_counts():
    pairs = {"all": ([f"{net} on" for net in PAIRS], [f"{net} off" for net in PAIRS])}
    found = texture(runs_of({"resnet": 0.1, "swin": 0.2, "vit": 0.3}, spread=1e-4), pairs)
    assert found.each[0].difference == pytest.approx(0.2, abs=1e-3)
    assert found.pooled is None


def test_finalists_that_were_picked_of_many_need_a_wider_interval():
    runs = runs_of(dict.fromkeys(PAIRS, 0.1))
    few, many = texture(runs, PAIRS), texture(runs, PAIRS, among=60)
    assert many.pooled.low < few.pooled.low
    assert many.each[0].low < few.each[0].low


def test_without_predictions_differences_are_shown_and_nothing_is_claimed():
    found = texture(runs_of(dict.fromkeys(PAIRS, 0.1), lacking="0001 has no kept predictions"), PAIRS)
    assert "no kept predictions" in found.why
    assert words(found) == ([Help.UNTOLD] * 3, Help.UNTOLD, False)
    assert found.pooled.difference == pytest.approx(0.1, abs=0.01)
