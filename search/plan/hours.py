"""What there is time for in the hours of `--hours`, as far as can be told before anything is trained."""

from __future__ import annotations

from typing import NamedTuple

from lssat.text.durations import duration
from search.plan.seen import times_folds
from search.space import epochs
from search.space.settings import SearchConfig
from search.strategy.deadline import FEWEST_SEEDS, MARGIN


class FinalStage(NamedTuple):
    """What makes a final stage longer. `backbones`: of the space. `of_baselines`: epochs in which learning rates of all
    supervised baselines are tried. `folds`: values that are held out one after the other.
    """

    backbones: int = 1
    of_baselines: float = 0.0
    folds: int = 1


def what_fits(search: SearchConfig, epochs_per_trial: int, seconds_per_epoch: float, stage: FinalStage) -> str:
    """In words. The search keeps at least one whole trial, the final stage at least one finalist, or one of each
    backbone, if there is time.
    """
    assert search.hours is not None
    room = search.hours * 3600 / MARGIN / seconds_per_epoch  # epochs, on the clock
    wanted = epochs.searched(search, epochs_per_trial).expected
    if room < epochs_per_trial:
        return "too few for a single trial; give more, or take fewer epochs or less data (`data.train_fraction`)"
    for finalists in range(search.finalists, 0, -1):
        for seeds in range(search.final_seeds, FEWEST_SEEDS - 1, -1):
            cut = search.model_copy(update={"finalists": finalists, "final_seeds": seeds})
            left = (
                room
                - epochs.final(cut, epochs_per_trial, stage.backbones, stage.folds)
                - stage.of_baselines * finalists / search.finalists
            )
            number = epochs.num_finalists(cut, stage.backbones)
            if left >= epochs_per_trial * (number + 1):  # so many to the end
                final = f"a final stage of {number} x {seeds} seeds{times_folds(stage.folds)}"
                taken = duration((room - left) * seconds_per_epoch)
                return f"time for {_of_search(left, wanted)} and {final}, {taken}"
    return f"time for {_of_search(room, wanted)}, and for no final stage"


def _of_search(left: float, wanted: float) -> str:
    return "the whole search" if left >= wanted else f"about {left:.0f} of {wanted:.0f} epochs of the search"
