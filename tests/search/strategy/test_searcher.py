"""Optuna is told the truth, and a killed study tells it again."""

import optuna
import pytest
from optuna.trial import TrialState

from lssat.train.result import Ended
from search.space.file import load
from search.strategy import searcher
from search.strategy.known.history import History
from search.strategy.outcome import outcome_of
from tests.search.records import epoch

TEXT = """
fixed: {optim.epochs: 4}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, tiny]
  aux_weight: {low: 0.1, high: 0.9}
search: {num_trials: 12, startup_trials: 4, seed: 3}
"""


@pytest.fixture
def space(tmp_path):
    (tmp_path / "s.yaml").write_text(TEXT)
    return load(tmp_path / "s.yaml", "laptop", {}, {})


@pytest.fixture
def study(tmp_path, space):
    return searcher.open_study(tmp_path / "study.db", "test", space)


class Asked:
    """The searcher, asked as the adaptor does, with names of our own for the trials."""

    def __init__(self, study, space):
        self._searcher = searcher.OptunaSearcher(study, space)
        self._search = space.search
        self._suggestions = {}
        self._last = {}

    def suggest(self, trial_id):
        suggestion = self._searcher.suggest()
        assert suggestion or self._searcher.is_finished
        self._suggestions[trial_id] = suggestion
        return suggestion

    def observe(self, trial_id, result):
        self._last[trial_id] = result
        self._searcher.observe(self._suggestions[trial_id], result)

    def complete(self, trial_id, *results, ended=None, died=False):
        for result in results:
            self.observe(trial_id, result)
        last = self._last.get(trial_id)
        self._searcher.finish(self._suggestions[trial_id], outcome_of(self._search, ended or last, died), last)


def test_states(study, space):
    asked = Asked(study, space)
    for name in "abcd":
        asked.suggest(name)
    asked.complete("a", *(epoch(number, 0.1 * number) for number in (1, 2, 3, 4)))
    asked.complete("b", epoch(2, 0.9))
    asked.complete("c", ended=Ended("failed", "ValueError: no"))
    asked.complete("d", epoch(4, 0.5), died=True)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    assert study.trials[0].intermediate_values == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4})
    assert study.trials[1].intermediate_values == {2: 0.9}
    assert study.best_trial.number == 0, "a stopped trial cannot win"


def test_a_value_that_is_not_finite_is_a_failure(study, space):
    asked = Asked(study, space)
    asked.suggest("a")
    asked.complete("a", epoch(4, float("nan")))
    assert study.trials[0].state == TrialState.FAIL


def test_interrupted_trials_come_first_with_their_number_and_settings(study, space, tmp_path):
    first = Asked(study, space)
    suggested = [first.suggest(name) for name in "abc"]
    first.complete("b", epoch(4, 0.5))
    again = Asked(searcher.open_study(tmp_path / "study.db", "test", space), space)
    assert [again.suggest(name) for name in "xy"] == [suggested[0], suggested[2]]
    assert again.suggest("z").name == "0003"
    again.complete("x", epoch(4, 0.6))
    assert searcher.open_study(tmp_path / "study.db", "test", space).trials[0].value == 0.6


def test_the_same_seed_suggests_the_same_whether_interrupted_or_not(space, tmp_path):
    def suggestions(folder, reopen):
        folder.mkdir()
        asked = Asked(searcher.open_study(folder / "study.db", "s", space), space)
        found = []
        while (suggested := asked.suggest(f"t{len(found)}")) is not None:
            found.append(suggested)
            asked.complete(f"t{len(found) - 1}", epoch(4, suggested.sampled["aux_weight"]))
            if reopen:
                asked = Asked(searcher.open_study(folder / "study.db", "s", space), space)
        return found

    whole = suggestions(tmp_path / "whole", reopen=False)
    assert len(whole) == 12
    assert suggestions(tmp_path / "killed", reopen=True) == whole


def test_a_trial_that_was_asked_for_but_not_drawn_is_drawn_as_it_would_have_been(space, tmp_path):
    def third(folder, killed):
        folder.mkdir()
        study = searcher.open_study(folder / "study.db", "s", space)
        asked = Asked(study, space)
        for name in "ab":
            asked.suggest(name)
            asked.complete(name, epoch(4, 0.5))
        if killed:
            searcher.ask(study, space, History(study, space.search, ()))
            asked = Asked(searcher.open_study(folder / "study.db", "s", space), space)
        return asked.suggest("c")

    assert third(tmp_path / "whole", killed=False) == third(tmp_path / "killed", killed=True)


def test_what_never_fits_is_infeasible_to_the_sampler(study, space):
    asked = Asked(study, space)
    for name in "ab":
        asked.suggest(name)
    asked.complete("a", epoch(1, 0.9), ended=Ended("infeasible", "DoesNotFit: too large"))
    asked.complete("b", epoch(4, 0.1))
    assert [trial.state for trial in study.trials[:2]] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert [trial.constraints for trial in study.trials[:2]] == [{"memory": 1.0}, {"memory": 0.0}]


def weights(space, study, infeasible):
    """aux_weight of 30 trials; it is their score as well, if they are feasible."""
    asked, found = Asked(study, space), []
    for number in range(30):
        found.append(asked.suggest(str(number)).sampled["aux_weight"])
        if infeasible(found[-1]):
            asked.complete(str(number), ended=Ended("infeasible", "no"))
        else:
            asked.complete(str(number), epoch(4, found[-1]))
    return found


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_samplers_keep_away_from_what_never_fits(tmp_path, sampler):
    """What scores best never fits. The Gaussian process would try one such point for ever."""
    (tmp_path / "s.yaml").write_text("fixed: {optim.epochs: 4}\nspace:\n  aux_weight: {low: 0.1, high: 0.9}\n")
    space = load(
        tmp_path / "s.yaml",
        "laptop",
        {},
        {"sampler": sampler, "scheduler": "none", "num_trials": 30, "startup_trials": 6},
    )
    found = weights(
        space, searcher.create_study(optuna.storages.InMemoryStorage(), "s", space), lambda weight: weight > 0.5
    )
    if sampler == "tpe":
        assert sum(0.3 < weight <= 0.6 for weight in found[10:]) >= 12, "around the best that fits"
    assert len(set(found)) == 30


def test_the_study_is_a_plain_optuna_study(study, space, tmp_path):
    Asked(study, space).suggest("a")
    loaded = optuna.load_study(study_name="test", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert {name.split("@")[0] for name in loaded.trials[0].params} == {
        "backbone.family",
        "backbone.size",
        "aux_weight",
    }


def several(tmp_path, sampler):
    (tmp_path / "s.yaml").write_text(
        TEXT.replace("search: {", f"search: {{sampler: {sampler}, objectives: [score, parameters], ")
    )
    return load(tmp_path / "s.yaml", "laptop", {}, {})


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_several_objectives(tmp_path, sampler):
    space = several(tmp_path, sampler)
    study = searcher.open_study(tmp_path / "study.db", "s", space)
    asked = Asked(study, space)
    for number in range(12):
        asked.suggest(str(number))
        asked.complete(str(number), epoch(1, 0.1), epoch(4 if number % 3 else 2, 0.1 * number, parameters=number))
    assert [trial.state == TrialState.PRUNED for trial in study.trials] == [number % 3 == 0 for number in range(12)]
    assert study.trials[11].values == pytest.approx([1.1, 11])
    assert {trial.number for trial in study.best_trials} == {1, 2, 4, 5, 7, 8, 10, 11}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_nothing_is_tried_twice_and_a_finite_space_ends(tmp_path, sampler):
    text = TEXT.replace("{low: 0.1, high: 0.9}", "[0.1, 0.5, 0.9]").replace(
        "search: {num_trials: 12,", f"search: {{sampler: {sampler}, num_trials: 50,"
    )
    (tmp_path / "s.yaml").write_text(text)
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    asked = Asked(searcher.create_study(optuna.storages.InMemoryStorage(), "s", space), space)
    found = []
    while (suggested := asked.suggest(str(len(found)))) is not None:
        asked.complete(str(len(found)), epoch(4, suggested.sampled["aux_weight"]))
        found.append(str(suggested.sampled))
    assert len(set(found)) == len(found) == len(space.points()) == 12


def test_patience_counts_trials_without_a_better_score(tmp_path, space):
    space = load(tmp_path / "s.yaml", "laptop", {}, {"patience": 3, "min_improvement": 0.05})
    study = searcher.open_study(tmp_path / "study.db", "s", space)
    asked = Asked(study, space)
    num_ended = 0
    for value in (0.1, 0.2, 0.22, 0.30, 0.31, 0.34, 0.3, 0.9):
        if asked.suggest(str(num_ended)) is None:
            break
        asked.complete(str(num_ended), epoch(4, value))
        num_ended += 1
    assert num_ended == 7, "0.31, 0.34 and 0.3 are no better than 0.30 by 0.05"
