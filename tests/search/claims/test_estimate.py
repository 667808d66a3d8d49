"""Standard errors of differences: against loops that say what is meant, and where runs are missing or odd."""

from itertools import product

import numpy as np
import pytest

from search.claims import runs
from search.claims.estimate import estimate
from search.claims.runs import Runs, of_predictions
from tests.search.claims.values import of_values


def study(arms=4, seeds=3, units=200, luck=0.02, seed=0):
    """Runs of `arms` arms from the same seeds, and what each unit gives them [R, units]."""
    generator = np.random.default_rng(seed)
    names = [f"arm {arm}" for arm in range(arms) for _ in range(seeds)]
    values = generator.standard_normal(units) + 0.5 * np.repeat(generator.standard_normal((arms, units)), seeds, axis=0)
    values = values + 0.7 * generator.standard_normal((arms * seeds, units))
    values += luck * generator.standard_normal((arms * seeds, 1)) + np.tile(
        generator.standard_normal((seeds, 1)), (arms, 1)
    )
    return names, list(range(seeds)) * arms, values


def slow_variances(values, one, other, seeds):
    """(training, units) of the variance of the difference of two arms, for all arms from the same seeds."""
    by_arm = values.reshape(-1, seeds, values.shape[1])
    scores = by_arm.mean(axis=2)
    left = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    of_run = (left**2).sum() / ((len(scores) - 1) * (seeds - 1))
    difference = by_arm[one] - by_arm[other]
    pairs = [(first, second) for first, second in product(range(seeds), repeat=2) if first != second]
    shared = np.mean([np.cov(difference[first], difference[second])[0, 1] for first, second in pairs])
    return 2 * of_run / seeds, max(shared / values.shape[1], 0)


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (4, 3), (5, 4)])
def test_both_parts_are_those_of_a_slow_reference(arms, seeds):
    names, numbers, values = study(arms, seeds, luck=0.2)
    found = estimate(of_values(names, numbers, values))
    assert found.pooled_df == (arms - 1) * (seeds - 1)
    assert found.means == pytest.approx(values.mean(axis=1).reshape(arms, seeds).mean(axis=1))
    for one, other in ((0, 1), (1, 0), (arms - 1, 0)):
        training, units = slow_variances(values, one, other, seeds)
        assert found.seed_variance[one, other] == pytest.approx(training)
        assert found.unit_variance[one, other] == pytest.approx(units)
        parts = training**2 / found.pooled_df + units**2 / (values.shape[1] - 1)
        assert found.df[one, other] == pytest.approx((training + units) ** 2 / parts)


def means(values):
    """The mean of each run's values over rows that count several times."""
    return lambda times: values @ times.T / times.sum(axis=1)


def test_the_bootstrap_of_a_mean_agrees_with_its_formula():
    names, numbers, values = study(units=300)
    exact = of_values(names, numbers, values)
    drawn = of_predictions(names, numbers, np.arange(300), means(values))
    assert drawn.scores == pytest.approx(exact.scores)
    assert drawn.units == 300
    assert np.diag(drawn.covariance) == pytest.approx(np.diag(exact.covariance), rel=0.25)
    assert estimate(drawn).standard_error == pytest.approx(estimate(exact).standard_error, rel=0.2)


def test_rows_of_a_unit_are_drawn_together():
    """Each unit ten times: as uncertain as once."""
    names, numbers, values = study(arms=2, seeds=2, units=150)
    units = np.repeat(np.arange(150), 10)
    repeated = np.repeat(values, 10, axis=1)
    ten = of_predictions(names, numbers, units, means(repeated))
    once = of_predictions(names, numbers, np.arange(150), means(values))
    assert ten.units == 150
    assert ten.covariance == pytest.approx(once.covariance)


def test_order_of_runs_and_units_a_shift_and_a_scale_change_nothing_else():
    names, numbers, values = study()
    found = estimate(of_values(names, numbers, values))
    order = np.random.default_rng(1).permutation(len(names))
    mixed = values[order][:, ::-1]
    same = estimate(of_values([names[run] for run in order], [numbers[run] for run in order], mixed))
    moved = estimate(of_values(names, numbers, 3 * values + 5))
    assert same.arms == found.arms
    for one, other in ((same, found.standard_error), (moved, 3 * found.standard_error)):
        assert one.standard_error == pytest.approx(other)
        assert one.df == pytest.approx(found.df)
    assert same.means == pytest.approx(found.means)
    assert moved.means == pytest.approx(3 * found.means + 5)


def test_what_a_seed_does_to_all_arms_alike_is_no_spread_even_where_runs_are_missing():
    names, numbers, values = study(arms=4, seeds=4)
    kept = [run for run in range(16) if run not in (1, 6, 11)]
    without = values - values.mean(axis=1, keepdims=True)
    effects = np.array([0.0, 5.0, -3.0, 8.0])
    truth = np.repeat([0.1, 0.2, 0.3, 0.4], 4)
    scores = without + (truth + effects[numbers])[:, None]
    found = estimate(of_values([names[run] for run in kept], [numbers[run] for run in kept], scores[kept]))
    assert found.means - found.means[0] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert found.pooled_df == 13 - 4 - 3
    assert found.standard_error.max() < 0.2


def test_without_common_seeds_their_effect_counts_as_spread():
    names, _, values = study(luck=0)
    alike = estimate(of_values(names, [0, 1, 2] * 4, values))
    apart = estimate(of_values(names, range(12), values))
    assert apart.pooled_df == 4 * 2
    assert apart.standard_error[0, 1] > 3 * alike.standard_error[0, 1]


def test_an_arm_that_spreads_more_than_the_others_makes_its_own_differences_wider():
    names, numbers, values = study(arms=5, seeds=6, luck=0.01)
    before = estimate(of_values(names, numbers, values))
    values[:6] += np.array([2.0, -2, 1, -1, 3, -3])[:, None]
    found = estimate(of_values(names, numbers, values))
    assert found.seed_variance[0, 1] > 1.5 * found.seed_variance[1, 2] > before.seed_variance[1, 2]
    assert found.seed_df[0, 1] < found.seed_df[1, 2] == 20


def test_runs_that_agree_by_rounding_keep_the_spread_that_units_make():
    """Two seeds whose differences are the same but for the last bit."""
    names, numbers, values = study(arms=2, seeds=2)
    values += (np.array([0.80, 0.81, 0.81, 0.82]) - values.mean(axis=1))[:, None]
    found = estimate(of_values(names, numbers, values))
    assert found.seed_variance[0, 1] > 1e-4


@pytest.mark.parametrize(
    ("names", "seeds", "units", "words"),
    [
        (["a", "a"], [0, 1], 200, "there is one arm"),
        (["a", "b"], [0, 0], 200, "one seed"),
        (["a", "b"], [0, 1], 200, "share a seed"),
        (["a", "a", "b", "b"], [0, 1, 0, 1], 99, "too few validation units"),
        (["a", "a", "b", "b"], [0, 1, 0, 1], 1, "too few validation units"),
        (["a", "a", "b", "b"], [0, 1, 0, 1], 100, ""),
    ],
)
def test_what_stands_in_the_way_of_an_interval_is_said(names, seeds, units, words):
    values = np.random.default_rng(0).standard_normal((len(names), units))
    trouble = estimate(of_values(names, seeds, values)).trouble
    assert words in trouble
    assert bool(words) == bool(trouble)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": ()}, "needs runs"),
        ({"seeds": (0, 0)}, "twice"),
        ({"seeds": (0,)}, "2 runs need as many seeds"),
        ({"scores": np.array([0.5, np.nan])}, "a with seed 1 has no finite score"),
        ({"covariance": np.full((2, 2), np.inf)}, "not finite"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_in_a_sentence(change, words):
    whole = {"arms": ("a", "a"), "seeds": (0, 1), "scores": np.zeros(2), "covariance": np.eye(2), "units": 100}
    with pytest.raises(ValueError, match=words):
        Runs(**{**whole, **change})


def test_units_without_a_class_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="too few units of some class"):
        of_predictions(["a", "b"], [0, 0], np.arange(50), lambda times: np.full((2, len(times)), np.nan))


def test_rows_beyond_memory_are_drawn_in_parts_that_change_nothing(monkeypatch):
    names, numbers, values = study(units=300)
    whole = of_predictions(names, numbers, np.arange(300), means(values))
    monkeypatch.setattr(runs, "AT_ONCE", 1000)
    assert of_predictions(names, numbers, np.arange(300), means(values)).covariance == pytest.approx(whole.covariance)


def test_runs_of_whose_units_nothing_is_known_have_means_and_say_why_they_have_no_intervals():
    found = estimate(Runs(("a", "a", "b", "b"), (0, 1, 0, 1), np.arange(4.0), np.zeros((4, 4)), 0, "nothing is kept"))
    assert found.trouble == "nothing is kept"
    assert found.means.tolist() == pytest.approx([0.5, 2.5])
