"""What the best trials of a search have in common, those with conditions and stopped ones included."""

import optuna
import pytest

from lssat.errors import ConfigError
from search.strategy.importance import describe
from search.strategy.searcher import storage_of

KEYS = {"family": "family", "lr": "lr", "patch@vit": "patch", "patch@swin": "patch"}


def searched(path, trials, stops=lambda trial, score: False):
    study = optuna.create_study(
        storage=storage_of(path), direction="maximize", study_name="a", sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def score(trial):
        family = trial.suggest_categorical("family", ["vit", "swin", "resnet"])
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        patch = trial.suggest_categorical(f"patch@{family}", [4, 8]) if family != "resnet" else None
        found = 0.5 + 0.2 * (patch == 8)
        if stops(trial, found):
            raise optuna.TrialPruned
        return found

    study.optimize(score, trials)
    return path


def test_a_key_of_several_parameters_is_one_and_the_one_that_acts_is_first(tmp_path):
    found = describe(searched(tmp_path / "study.db", 60), KEYS)
    assert found.weights[0].key == "patch"
    assert {weight.key for weight in found.weights} == {"family", "lr", "patch"}
    assert sum(weight.share for weight in found.weights) == pytest.approx(1)
    assert all(0 <= weight.low <= weight.high <= 1 for weight in found.weights)


def test_stopped_trials_count_among_those_that_are_behind(tmp_path):
    """All that is not the best family was stopped. Of the complete trials alone family would say nothing."""

    def stops(trial, score):
        return trial.params["family"] != "resnet"

    found = describe(searched(tmp_path / "study.db", 60, stops), KEYS)
    weights = {weight.key: weight for weight in found.weights}
    assert found.stopped > found.complete >= 5
    assert weights["family"].share > weights["lr"].share


def test_the_same_trials_give_the_same_description(tmp_path):
    path = searched(tmp_path / "study.db", 20)
    assert describe(path, KEYS) == describe(path, KEYS)


def test_few_trials_are_refused_with_a_repair(tmp_path):
    with pytest.raises(ConfigError, match="--extend"):
        describe(searched(tmp_path / "study.db", 4), KEYS)
