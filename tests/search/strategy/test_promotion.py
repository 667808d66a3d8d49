"""Trials pause at each rung; the best go on, what is left is stopped, and a kill changes nothing of that."""

from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from search.space.file import load
from search.space.settings import SearchConfig
from search.strategy import searcher
from search.strategy.outcome import outcome_of
from search.strategy.schedulers import scheduler
from tests.search.records import epoch

TEXT = """
fixed: {optim.epochs: 9, optim.warmup_epochs: 0}
space:
  optim.lr: {low: 0.1, high: 0.9}
search: {scheduler: promotion, grace_epochs: 1, reduction_factor: 3, num_trials: 9, sampler: random}
"""


SEARCH = SearchConfig(scheduler="promotion", grace_epochs=1, reduction_factor=3)


class Running:
    def __init__(self, trial_id, config):
        self.trial_id, self.config = trial_id, config


@pytest.fixture
def space(tmp_path):
    (tmp_path / "s.yaml").write_text(TEXT)
    return load(tmp_path / "s.yaml", "laptop", {}, {})


@pytest.fixture
def study(space):
    return searcher.create_study(optuna.storages.InMemoryStorage(), "s", space)


def train(asked, stops, number, score=None):
    """Run what is suggested until it pauses or ends; its name and last epoch, or None where there is nothing more. The
    score is the learning rate, or what is given, times the epoch.
    """
    suggestion = asked.suggest()
    if suggestion is None:
        assert asked.is_finished
        return None
    for at in range(suggestion.promoted + 1, 10):
        result = epoch(at, (score or suggestion.sampled["optim.lr"]) * at, 9)
        asked.observe(suggestion, result)
        if stops.on_trial_result(None, Running(str(number), suggestion.for_tune()), result.to_report()) == "STOP":
            break
    finish(asked, suggestion, result)
    return suggestion.name, at


def finish(asked, suggestion, result):
    """A run ends after this epoch."""
    asked.finish(suggestion, outcome_of(SEARCH, result, died=False), result)


def test_of_nine_trials_three_go_on_and_one_to_the_end(study, space):
    asked, stops = searcher.OptunaSearcher(study, space), scheduler(space.search, 9)
    runs = []
    while isinstance(ran := train(asked, stops, len(runs)), tuple):
        runs.append(ran)
    assert ran is None
    assert [epoch for _, epoch in runs].count(1) == 9
    assert study.best_trial.params == max(
        (trial.params for trial in study.trials), key=lambda params: params["optim.lr"]
    )
    assert [trial.state for trial in study.trials].count(TrialState.COMPLETE) == 1
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert runs[1][1] == 1, "the second does not run on because it came early"


def test_a_few_trials_end_with_one_complete(study, space):
    asked = searcher.OptunaSearcher(study, load_fewer(space))
    stops = scheduler(space.search, 9)
    runs = [train(asked, stops, number) for number in range(5)]
    assert runs[-1] is None
    assert sorted(trial.state for trial in study.trials) == [TrialState.COMPLETE, TrialState.PRUNED]


def load_fewer(space):
    return replace(space, search=space.search.model_copy(update={"num_trials": 2}))


def test_while_one_runs_that_may_let_another_go_on_the_searcher_waits(study, space):
    asked = searcher.OptunaSearcher(study, load_fewer(space))
    suggestions = [asked.suggest(), asked.suggest()]
    assert (asked.suggest(), asked.is_finished) == (None, False)
    for suggestion in suggestions:
        asked.observe(suggestion, epoch(1, 0.5, 9))
        finish(asked, suggestion, epoch(1, 0.5, 9))
    assert asked.suggest().promoted == 1


def test_a_kill_after_any_run_changes_nothing(space):
    def runs(killed):
        study = searcher.create_study(optuna.storages.InMemoryStorage(), "s", space)
        asked, stops, found = searcher.OptunaSearcher(study, space), scheduler(space.search, 9), []
        while isinstance(ran := train(asked, stops, len(found)), tuple):
            found.append(ran)
            if killed:
                asked, stops = searcher.OptunaSearcher(study, space), scheduler(space.search, 9)
        return found, [(trial.state, trial.params) for trial in study.trials]

    assert runs(killed=True) == runs(killed=False)


def test_one_that_was_killed_between_rungs_goes_on_first(study, space):
    asked = searcher.OptunaSearcher(study, space)
    for at in (1, 2):  # the second one was promoted
        asked.observe(asked.suggest(), epoch(at, 0.5, 9))
    again = searcher.OptunaSearcher(study, space)
    assert [again.suggest().name, again.suggest().name] == ["0001", "0002"], "the first one has paused"


def test_an_extension_is_compared_with_what_was_there(space):
    """What ended below its rung's best still stands there: worse trials that come later do not go on."""
    study = searcher.create_study(optuna.storages.InMemoryStorage(), "s", space)
    asked, stops, ran = searcher.OptunaSearcher(study, space), scheduler(space.search, 9), 0
    while isinstance(train(asked, stops, ran), tuple):
        ran += 1
    more = replace(space, search=space.search.model_copy(update={"num_trials": 18}))
    asked, longest = searcher.OptunaSearcher(study, more), []
    while isinstance(trained := train(asked, stops, f"m{len(longest)}", score=0.001), tuple):
        longest.append(trained[1])
    assert longest == [1] * 9
