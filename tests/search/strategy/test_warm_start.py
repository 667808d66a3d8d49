"""A search that begins from an earlier study: what it tries, when it trusts it, and how it goes on after a break."""

import shutil
from dataclasses import replace

import pytest

from lssat.train.result import EpochResult
from search.earlier.trials import ranked, taken_over, tried_first
from search.space.definition import EarlierStudy
from search.space.file import load
from search.strategy import searcher
from search.strategy.outcome import outcome_of

TEXT = """
fixed: {optim.epochs: 9}
space:
  backbone.name: [test_vit, test_resnet, test_convnext, test_efficientnet, test_byobnet]
  aux_weight: {low: 0.1, high: 0.9}
search: {num_trials: 30, startup_trials: 4, seed: 3, scheduler: promotion, grace_epochs: 1, reduction_factor: 3}
"""
WORTH = {"test_vit": 0.1, "test_resnet": 0.2, "test_convnext": 0.5, "test_efficientnet": 0.4, "test_byobnet": 0.3}


def score(family, weight, sign=1.0):
    """Families differ, and a weight of 0.3 is best."""
    return sign * (WORTH[family] - (weight - 0.3) ** 2)


@pytest.fixture
def space(tmp_path):
    (tmp_path / "s.yaml").write_text(TEXT)
    return load(tmp_path / "s.yaml", "laptop", {}, {})


def with_earlier(space, sign=1.0, weights=(0.2, 0.35, 0.5, 0.8)):
    """The space with a study that tried every family with some weights, to the end."""
    tried = [
        {"backbone.name": family, "aux_weight": weight, "auxiliary": True} for family in WORTH for weight in weights
    ]
    found = [
        taken_over(
            f"{n:04d}", keys, [score(*list(keys.values())[:2], sign) * epoch for epoch in range(1, 10)], 9, space
        )
        for n, keys in enumerate(tried)
    ]
    trials = ranked(found)
    study = EarlierStudy("old", "x", None, tuple(trials), tried_first(trials, space), {"failed": 1})
    return replace(space, earlier=(study,))


class Session:
    """One trial at a time, as the adaptor runs them; every trial pauses at its rung."""

    def __init__(self, path, space):
        self.study = searcher.open_study(path, "test", space)
        self._space, self._searcher = space, searcher.OptunaSearcher(self.study, space)

    def run(self, number):
        """So many stretches, each as (name, family, weight, epoch at which it ends)."""
        ran = []
        for _ in range(number):
            suggestion = self._searcher.suggest()
            family, weight = suggestion.config.backbone.name, suggestion.config.aux_weight
            end = {0: 1, 1: 3, 3: 9}[suggestion.promoted]
            for epoch in range(suggestion.promoted + 1, end + 1):
                value = score(family, weight) * epoch
                last = EpochResult(epoch, 9, value, value, 5, 1)
                self._searcher.observe(suggestion, last)
            self._searcher.finish(suggestion, outcome_of(self._space.search, last, died=False), last)
            ran.append((suggestion.name, family, weight, end))
        return ran


def test_its_best_of_each_family_is_tried_first_instead_of_what_is_published(tmp_path, space):
    ran = Session(tmp_path / "study.db", with_earlier(space)).run(7)
    assert begun(ran) == [(family, 0.35) for family in sorted(WORTH, key=WORTH.get, reverse=True)]


def test_a_family_of_which_it_tells_nothing_begins_with_what_is_published(tmp_path, space):
    known = with_earlier(space)
    (study,) = known.earlier
    without = tuple(trial for trial in study.trials if trial.point["backbone.name"] != "test_vit")
    study = replace(study, trials=without, first=tried_first(without, space))
    ran = Session(tmp_path / "study.db", replace(space, earlier=(study,))).run(9)
    assert ("test_vit", 0.9) in begun(ran)


def test_where_it_holds_the_best_goes_on_without_waiting_and_good_regions_are_tried(tmp_path, space):
    """Three trials promote one anyway; the fourth earns trust, and the best goes on to its end."""
    ran = Session(tmp_path / "study.db", with_earlier(space)).run(16)
    assert [(name, end) for name, *_, end in ran[3:6]] == [("0000", 3), ("0003", 1), ("0000", 9)]
    new = begun(ran)[5:]
    assert sum(family == "test_convnext" for family, _ in new) > len(new) / 2


def test_where_it_does_not_hold_the_search_goes_on_as_if_there_were_none(tmp_path, space):
    session = Session(tmp_path / "study.db", with_earlier(space, sign=-1.0))
    session.run(6)
    shutil.copy(tmp_path / "study.db", tmp_path / "without.db")
    assert session.run(14) == Session(tmp_path / "without.db", space).run(14)


def begun(ran):
    """Family and weight of each new trial."""
    return [(family, weight) for _, family, weight, end in ran if end == 1]


def test_a_resumed_study_draws_what_an_uninterrupted_one_draws(tmp_path, space):
    whole = Session(tmp_path / "whole.db", with_earlier(space)).run(12)
    found = []
    for _ in range(12):
        found += Session(tmp_path / "cut.db", with_earlier(space)).run(1)
    assert found == whole
