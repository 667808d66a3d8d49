"""What a sampler is shown of a study: all of a small one, and of a large one the best and the newest."""

from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.space.file import load
from search.space.settings import SearchConfig
from search.strategy import next_point, searcher
from search.strategy.known import history as known
from search.strategy.known.history import History
from search.strategy.outcome import outcome_of
from search.strategy.samplers import sampler
from search.strategy.schedulers import scheduler
from tests.search.records import epoch

TEXT = """
fixed: {optim.epochs: 9, optim.warmup_epochs: 0}
space:
  backbone.family: [vit, resnet, convnext]
  backbone.size: [atto, femto]
  backbone.patch_size: {choices: [8, 16], when: {backbone.family: [vit]}}
  aux_weight: {low: 0.1, high: 0.9}
  optim.lr: {low: 1.0e-4, high: 1.0e-2, log: on}
search: {num_trials: 40, startup_trials: 4, grace_epochs: 1, reduction_factor: 3}
"""


def drawn_from_all(study, space, history):
    """The same without any bound: a copy of every trial, in a study of Optuna's own."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    shadow = optuna.create_study(directions=study.directions, sampler=sampler(space.search, len(trials)))
    for trial in next_point.comparable(trials, space.search.startup_trials):
        if trial.state.is_finished():
            trial.datetime_complete = trial.datetime_start  # Optuna asks for one, and reads none
        shadow.add_trial(trial)
    while True:
        trial = shadow.ask()
        space.sample(trial)
        if all(trial.params != tried.params for tried in trials):
            return create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)


def searched(space):
    """All suggestions of a search, three at a time."""
    study = searcher.create_study(optuna.storages.InMemoryStorage(), "s", space)
    asked, stops = searcher.OptunaSearcher(study, space), scheduler(space.search, 9)
    found, running = [], []
    while True:
        while len(running) < 3 and (suggestion := asked.suggest()):
            found.append(suggestion)
            trial = SimpleNamespace(trial_id=str(len(found)), config=suggestion.for_tune())
            stops.on_trial_add(None, trial)
            running.append(trial)
        if not running:
            return found
        trial = running.pop(0)
        suggestion = trial.config["suggestion"]
        for at in range(suggestion.promoted + 1, 10):
            result = epoch(at, suggestion.sampled["optim.lr"] * at, 9)
            asked.observe(suggestion, result)
            if stops.on_trial_result(None, trial, result.to_report()) == "STOP":
                break
        asked.finish(suggestion, outcome_of(space.search, result, died=False), result)


@pytest.mark.parametrize("kind", ["promotion", "asha"])
def test_a_small_search_suggests_what_it_would_if_all_trials_were_copied(tmp_path, monkeypatch, kind):
    (tmp_path / "s.yaml").write_text(TEXT)
    space = load(tmp_path / "s.yaml", "laptop", {}, {"scheduler": kind})
    found = searched(space)
    monkeypatch.setattr(searcher, "draw", drawn_from_all)
    assert found == searched(space)
    assert len({suggestion.name for suggestion in found}) == 40


def trial(number, score, state=TrialState.COMPLETE):
    value = score if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, intermediate_values={1: score}, user_attrs={"number": number})


@pytest.fixture
def study(monkeypatch):
    """Twelve trials are over, the first the best; the next two run."""
    monkeypatch.setattr(known, "MOST", 3)
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(number, 1 / (1 + number)) for number in range(12)])
    study.add_trials([create_trial(state=TrialState.RUNNING) for _ in range(2)])
    return study


SEARCH = SearchConfig(startup_trials=4)


def test_of_a_large_study_the_best_and_the_newest_others_and_all_that_run_are_shown(study):
    history = History(study, SEARCH, ())
    assert [each.number for each in history.shown()] == [0, 1, 2, 9, 10, 11, 12, 13]
    study.add_trial(trial(14, 2.0))
    study.tell(12, state=TrialState.FAIL)
    history.refresh()
    assert [each.number for each in history.shown()] == [0, 1, 10, 11, 12, 13, 14]


def test_what_is_shown_follows_from_the_study_alone(study):
    history = History(study, SEARCH, ())
    for number in range(20):
        study.add_trial(trial(number, (number * 7 % 20) / 10))
        history.refresh()
        assert history.shown() == History(study, SEARCH, ()).shown()


def test_a_paused_trial_is_bounded_as_one_that_is_over(study):
    study.add_trials([trial(number, 1 / number, TrialState.RUNNING) for number in range(2, 9)])
    paused = History(study, SEARCH, (1,)).shown()
    assert [each.number for each in paused] == [0, 1, 12, 13, 14, 18, 19, 20]
    assert len(History(study, SEARCH, ()).shown()) == 15, "those that run are all shown"


def test_of_several_objectives_those_on_the_first_fronts_are_the_best(monkeypatch):
    monkeypatch.setattr(known, "MOST", 2)
    study = optuna.create_study(directions=["maximize", "minimize"])
    points = [(0.9, 5.0), (0.1, 1.0), (0.5, 9.0), (0.4, 9.0), (0.3, 9.0), (0.2, 9.0)]
    study.add_trials([create_trial(values=list(point)) for point in points])
    assert [each.number for each in History(study, SEARCH, ()).shown()] == [0, 1, 4, 5]
