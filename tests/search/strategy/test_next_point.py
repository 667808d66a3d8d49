"""Samplers see trials at the last epoch that enough of them have reached; the trials themselves stay as they are."""

from optuna.trial import TrialState, create_trial

from search.strategy.next_point import comparable


def trial(state, *scores):
    value = scores[-1] if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, intermediate_values=dict(enumerate(scores, start=1)))


def test_scores_are_compared_where_enough_trials_have_one():
    trials = [
        trial(TrialState.COMPLETE, 0.1, 0.2, 0.3),
        trial(TrialState.RUNNING, 0.5, 0.6),
        trial(TrialState.PRUNED, 0.4),
        trial(TrialState.FAIL, 0.9, 0.9),
    ]
    seen = comparable(trials, enough=3)
    assert [each.value for each in seen] == [0.2, 0.6, None, None]
    assert [each.state for each in seen] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    ]
    assert [each.value for each in comparable(trials, enough=5)] == [each.value for each in trials]
    assert (trials[0].value, trials[1].state, trials[1].system_attrs) == (0.3, TrialState.RUNNING, {})
