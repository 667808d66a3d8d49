"""A study that is read from memory is the study in its database, however it came about."""

import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.space.file import load
from search.strategy import searcher
from search.strategy.known.in_memory import KnownStudies

TEXT = """
fixed: {optim.epochs: 4}
space:
  backbone.family: [vit, resnet]
  backbone.size: [atto, tiny]
  aux_weight: {low: 0.1, high: 0.9}
  optim.lr: {low: 1.0e-4, high: 1.0e-2, log: on}
search: {num_trials: 12, startup_trials: 4, seed: 3}
"""


@pytest.fixture
def database(tmp_path):
    (tmp_path / "s.yaml").write_text(TEXT)
    space = load(tmp_path / "s.yaml", "laptop", {}, {})
    study = searcher.open_study(tmp_path / "study.db", "test", space)
    for number, state in enumerate((TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None)):
        trial = study.ask()
        space.sample(trial)
        trial.set_user_attr("config", '{"a": [1, null]}')
        for epoch, score in enumerate((0.1 * number, math.nan, math.inf, 1 / 3)[: number + 1], start=1):
            trial.report(score, epoch)
        if state:
            trial.set_constraint("memory", float(number == 1))
            study.tell(trial, 1 / 7 if state == TrialState.COMPLETE else None, state=state)
    study.add_trial(create_trial(value=-math.inf, system_attrs={"b": {"c": 1.5}}))
    study.enqueue_trial({"aux_weight": 0.25})
    return tmp_path / "study.db", study


def told(trials):
    """All of it but ids; moments to the second, since memory and database take their own."""
    return [
        repr(
            (
                t.number,
                t.state,
                t.values,
                t.params,
                t.distributions,
                *(sorted(each.items()) for each in (t.user_attrs, t.system_attrs, t.intermediate_values)),
                *(at and round(at.timestamp()) for at in (t.datetime_start, t.datetime_complete)),
            )
        )
        for t in trials
    ]


def test_memory_tells_what_optuna_reads_of_the_database(database):
    path, study = database
    optunas = optuna.load_study(study_name="test", storage=searcher.storage_of(path))
    again = optuna.load_study(study_name="test", storage=KnownStudies(searcher.storage_of(path)))
    assert told(again.trials) == told(optunas.trials)
    assert told(study.trials) == told(optunas.trials)
    assert again.directions == optunas.directions and again.metric_names == optunas.metric_names == ["score"]


def test_what_the_database_refuses_is_not_in_memory_either(database):
    path, study = database
    before = told(study.trials)
    optuna.load_study(study_name="test", storage=searcher.storage_of(path)).tell(3, state=TrialState.FAIL)
    with pytest.raises(RuntimeError):
        study.tell(3, 0.5)
    assert told(study.trials) == before
