"""What a trial says of an error, and when it says nothing."""

from search.strategy.suggestion import Suggestion
from search.study.trial import StageContext, run_trial


def test_a_trial_that_tune_has_ended_does_not_tell_how_its_workers_went(capfd):
    """Where a scheduler stops a trial with several workers, Ray ends these first: no traceback of that in the log."""
    suggestion = Suggestion("0000", {"backbone.name": "test_resnet", "data.image_size": 64, "masking.unit": 16})
    run_trial(suggestion.for_tune(), StageContext({}, None, "nowhere", "s", None))  # no splits: an error
    said = capfd.readouterr()
    assert said.out + said.err == ""
