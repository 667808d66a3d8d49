"""Optuna is told the truth, and a killed study tells it again."""

import optuna
import pytest
from optuna.trial import TrialState

from search import searcher
from search.recorder import write_json
from search.recovery import reconcile
from search.space_file import load

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
    return searcher.open_study(tmp_path, "test", space)


def result(epoch, value):
    return {"epoch": epoch, "epochs": 4, "val/best": value}


def test_states(study, space):
    asked = searcher.OptunaSearcher(study, space)
    for name in "abcd":
        asked.suggest(name)
    for epoch in (1, 2, 3, 4):
        asked.on_trial_result("a", result(epoch, 0.1 * epoch))
    asked.on_trial_complete("a", result(4, 0.4))
    asked.on_trial_complete("b", result(2, 0.9))  # stopped: its last result arrives only here
    asked.on_trial_complete("c", {"failed": "ValueError: no"})
    asked.on_trial_complete("d", None, error=True)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    assert study.trials[0].intermediate_values == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4})
    assert study.trials[1].intermediate_values == {2: 0.9}
    assert study.best_trial.number == 0, "a stopped trial cannot win"


def test_a_value_that_is_not_finite_is_a_failure(study, space):
    asked = searcher.OptunaSearcher(study, space)
    asked.suggest("a")
    asked.on_trial_complete("a", result(4, float("nan")))
    assert study.trials[0].state == TrialState.FAIL


def test_interrupted_trials_come_first_with_their_number_and_settings(study, space, tmp_path):
    first = searcher.OptunaSearcher(study, space)
    suggested = [first.suggest(name) for name in "abc"]
    first.on_trial_complete("b", result(4, 0.5))
    again = searcher.OptunaSearcher(searcher.open_study(tmp_path, "test", space), space)
    assert [again.suggest(name) for name in "xy"] == [suggested[0], suggested[2]]
    assert again.suggest("z")["number"] == 3
    again.on_trial_complete("x", result(4, 0.6))
    assert study.trials[0].value == 0.6


def test_the_same_seed_suggests_the_same_whether_interrupted_or_not(space, tmp_path):
    def suggestions(folder, reopen):
        folder.mkdir()
        asked = searcher.OptunaSearcher(searcher.open_study(folder, "s", space), space)
        found = []
        while (suggested := asked.suggest(f"t{len(found)}")) != searcher.Searcher.FINISHED:
            found.append(suggested)
            asked.on_trial_complete(f"t{len(found) - 1}", result(4, suggested["config"]["aux_weight"]))
            if reopen:
                asked = searcher.OptunaSearcher(searcher.open_study(folder, "s", space), space)
        return found

    whole = suggestions(tmp_path / "whole", reopen=False)
    assert len(whole) == 12
    assert suggestions(tmp_path / "killed", reopen=True) == whole


def test_every_family_is_tried_first(study, space):
    asked = searcher.OptunaSearcher(study, space)
    assert [asked.suggest(name)["config"]["backbone.family"] for name in "ab"] == ["vit", "resnet"]


def test_a_trial_that_was_asked_but_never_suggested_is_replaced(study, space, tmp_path):
    study.ask()
    asked = searcher.OptunaSearcher(searcher.open_study(tmp_path, "test", space), space)
    suggested = []
    while (found := asked.suggest(f"t{len(suggested)}")) != searcher.Searcher.FINISHED:
        suggested.append(found["number"])
        asked.on_trial_complete(f"t{len(suggested) - 1}", result(4, 0.5))
    assert len(suggested) == 12
    assert 0 not in suggested


def test_reconcile_closes_what_only_one_side_knows(study, space, tmp_path):
    asked = searcher.OptunaSearcher(study, space)
    for name in "abc":
        asked.suggest(name)
    asked.on_trial_result("a", result(4, 0.7))
    for number in range(3):
        write_json(tmp_path / "trials" / f"{number:04d}" / "config.json", {})
    write_json(tmp_path / "trials" / "0000" / "outcome.json", {"status": "complete", "reason": ""})
    study.tell(1, state=TrialState.PRUNED)
    reconcile(tmp_path, study)
    assert study.trials[0].state == TrialState.COMPLETE
    assert study.trials[0].value == 0.7
    assert "stopped" in (tmp_path / "trials" / "0001" / "outcome.json").read_text()
    assert study.trials[2].state == TrialState.RUNNING


def test_the_study_is_a_plain_optuna_study(study, space, tmp_path):
    searcher.OptunaSearcher(study, space).suggest("a")
    loaded = optuna.load_study(study_name="test", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert {name.split("@")[0] for name in loaded.trials[0].params} == {"backbone.family", "backbone.size", "aux_weight"}
