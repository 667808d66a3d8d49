"""What a plan says there is time for."""

import pytest

from search.plan.hours import FinalStage, what_fits
from search.space.settings import SearchConfig

SEARCH = SearchConfig(num_trials=12, scheduler="none", finalists=2, final_seeds=3)


@pytest.mark.parametrize(
    ("num_epochs", "said"),
    [
        (120 + 120, "time for the whole search and a final stage of 2 x 3 seeds, 2.0 h"),
        (119 + 120, "time for about 119 of 120 epochs of the search and a final stage of 2 x 3 seeds, 2.0 h"),
        (149, "time for about 69 of 120 epochs of the search and a final stage of 2 x 2 seeds, 80 min"),
        (109, "time for about 49 of 120 epochs of the search and a final stage of 1 x 3 seeds, 60 min"),
        (60, "time for about 20 of 120 epochs of the search and a final stage of 1 x 2 seeds, 40 min"),
        (59, "time for about 59 of 120 epochs of the search, and for no final stage"),
        (9, "too few for a single trial; give more, or take fewer epochs or less data (`data.train_fraction`)"),
    ],
)
def test_the_search_and_then_the_final_stage_get_what_is_left(num_epochs, said):
    """Trials of 10 epochs of a minute each; a fifth more time than that, for what is not measured."""
    hours = 1.2 * (num_epochs + 0.01) / 60
    assert what_fits(SEARCH.model_copy(update={"hours": hours}), 10, 60.0, FinalStage()) == said


def test_rates_that_baselines_are_tried_with_take_time_from_the_search():
    search = SEARCH.model_copy(update={"hours": 1.2 * (120 + 120 + 0.01) / 60})
    said = what_fits(search, 10, 60.0, FinalStage(of_baselines=40.0))
    assert said == "time for about 80 of 120 epochs of the search and a final stage of 2 x 3 seeds, 2.7 h"


def test_each_final_run_is_trained_once_for_each_value_that_is_held_out():
    """Of 10 epochs of a minute: 2 finalists and their baselines, 3 seeds, 4 values."""
    search = SEARCH.model_copy(update={"hours": 1.2 * (120 + 480 + 0.01) / 60})
    said = what_fits(search, 10, 60.0, FinalStage(folds=4))
    assert said == "time for the whole search and a final stage of 2 x 3 seeds x 4 held-out values, 8.0 h"


def test_of_each_backbone_there_is_one_or_no_final_stage():
    """5 finalists without baselines: 3 or 2 seeds of 10 epochs of a minute."""
    search = SEARCH.model_copy(update={"finalists": 1, "finalists_per": "backbone", "supervised": "none"})

    def said(num_epochs: int) -> str:
        hours = 1.2 * (num_epochs + 0.01) / 60
        return what_fits(search.model_copy(update={"hours": hours}), 10, 60.0, FinalStage(backbones=5))

    assert said(120 + 150) == "time for the whole search and a final stage of 5 x 3 seeds, 2.5 h"
    assert said(209) == "time for about 109 of 120 epochs of the search and a final stage of 5 x 2 seeds, 1.7 h"
    assert said(159) == "time for the whole search, and for no final stage"
