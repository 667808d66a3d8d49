"""The role of settings: sums of squares of a textbook, confounded settings, and nothing said without grounds."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from search.claims.factors import always_with, factors_of
from search.claims.importance import INTERACTIONS, Role, importance
from search.claims.runs import Runs

NET, LR = ("vit", "resnet", "swin"), ("low", "high")
CELLS = list(product(NET, LR))
LEVELS = {
    "net": {f"{net} {lr}": net for net, lr in CELLS},
    "lr": {f"{net} {lr}": lr for net, lr in CELLS},
}


def runs_of(score, seeds=3, spread=0.01, units=1000, unit_variance=1e-8, **more):
    """Runs of every arm from every seed, whose score is that of the arm and luck."""
    luck = np.random.default_rng(0)
    names = [(net, lr, seed) for (net, lr), seed in product(CELLS, range(seeds))]
    scores = np.array([score(net, lr) + spread * luck.standard_normal() for net, lr, _ in names])
    arms, count = tuple(f"{net} {lr}" for net, lr, _ in names), len(names)
    return Runs(arms, tuple(seed for *_, seed in names), scores, unit_variance * np.eye(count), units, **more)


def by_net(net, lr):
    return 0.8 + 0.1 * (net == "vit")


def role(found, factor):
    return next(share for share in found.shares if share.factor == factor)


def test_the_test_is_the_f_test_of_a_balanced_two_way_table():
    """Sums of squares of a textbook; units that make nothing; seeds taken out as blocks."""
    runs = runs_of(lambda net, lr: 0.8 + 0.008 * (net == "vit"), unit_variance=0.0)
    table = runs.scores.reshape(3, 2, 3)
    by_seed = table.mean(axis=(0, 1))
    cells = table.mean(axis=2)
    nets = cells.mean(axis=1)
    squares = 6 * ((nets - nets.mean()) ** 2).sum()
    left = ((table - cells[..., None] - by_seed + table.mean()) ** 2).sum()
    noise = left / 10
    found = importance(runs, LEVELS)
    true = max(squares / 3 - 2 * noise / 3, 0)
    total = (noise * 6) + true
    rest = cells - nets[:, None]
    total += max(((rest) ** 2).sum() - 3 * noise / 3, 0)
    assert role(found, "net").share == pytest.approx(true / total, rel=1e-6)
    p = stats.f.sf(squares / 2 / noise, 2, 10)
    assert (role(found, "net").role is Role.MATTERS) == (p <= 0.05 / 3)


def test_what_matters_is_named_and_what_does_nothing_is_not():
    found = importance(runs_of(by_net), LEVELS)
    assert [(share.factor, share.role) for share in found.shares] == [
        ("net", Role.MATTERS),
        ("lr", Role.UNTOLD),
        (INTERACTIONS, Role.UNTOLD),
    ]
    assert found.why == "" and found.has_floor
    assert role(found, "net").share + found.noise == pytest.approx(1, abs=0.05)


def test_a_word_and_its_interval_say_the_same():
    for gap in np.linspace(0, 0.05, 11):
        for share in importance(runs_of(lambda net, lr, gap=gap: gap * (net == "vit")), LEVELS).shares:
            assert (share.low > 0) == (share.role is Role.MATTERS)
            assert 0 <= share.low <= share.share <= share.high <= 1


def test_settings_that_act_only_together_are_an_interaction():
    found = importance(runs_of(lambda net, lr: 0.1 * (net == "vit") * (1 if lr == "low" else -1)), LEVELS)
    assert role(found, INTERACTIONS).role is Role.MATTERS
    assert role(found, INTERACTIONS).share > 0.5


def test_luck_of_the_validation_images_that_all_seeds_share_is_no_effect():
    """The same scores: with images that make as much, nothing is claimed."""
    certain = runs_of(lambda net, lr: 0.02 * (net == "vit"), spread=0.001)
    same_net = np.array([[float(a.split()[0] == b.split()[0]) for b in certain.arms] for a in certain.arms])
    unsure = Runs(certain.arms, certain.seeds, certain.scores, 0.02**2 * same_net, 1000)
    assert role(importance(certain, LEVELS), "net").role is Role.MATTERS
    assert role(importance(unsure, LEVELS), "net").role is Role.UNTOLD


def test_one_run_of_each_arm_has_no_floor_and_no_row_of_interactions():
    shared = runs_of(by_net, seeds=1)
    found = importance(Runs(shared.arms, tuple(range(6)), shared.scores, shared.covariance, 1000), LEVELS)
    assert not found.has_floor
    assert INTERACTIONS not in [share.factor for share in found.shares]
    assert role(found, "net").role is Role.MATTERS


def test_from_one_seed_shares_are_shown_and_nothing_is_claimed():
    """What a seed does to a network by luck is in all its runs."""
    found = importance(runs_of(by_net, seeds=1), LEVELS)
    assert "one seed" in found.why
    assert role(found, "net").role is Role.UNTOLD
    assert role(found, "net").share > 0.8


def test_where_no_seed_is_shared_the_noise_is_that_within_arms():
    same = runs_of(by_net, spread=0.05)
    apart = Runs(same.arms, tuple(range(len(same.arms))), same.scores, same.covariance, same.units)
    within = same.scores.reshape(6, 3).var(axis=1, ddof=1).mean()
    means = same.scores.reshape(6, 3).mean(axis=1)
    arms = max(((means - means.mean()) ** 2).sum() - 5 * within / 3, 0)
    assert importance(apart, LEVELS).noise == pytest.approx(6 * within / (6 * within + arms), rel=1e-6)


@pytest.mark.parametrize(
    ("more", "why"),
    [({"units": 50}, "too few validation units"), ({"lacking": "0001 has no kept predictions"}, "no kept predictions")],
)
def test_without_units_shares_are_shown_and_nothing_is_claimed(more, why):
    found = importance(runs_of(by_net, **more), LEVELS)
    assert why in found.why
    assert role(found, "net").share > 0.8
    assert all(share.role is Role.UNTOLD and np.isnan(share.low) for share in found.shares)


def test_runs_that_are_missing_leave_other_settings_out_of_a_share():
    """Only lr acts, and the runs of one net with low lr are missing: net does nothing still."""
    whole = runs_of(lambda net, lr: 0.1 * (lr == "low"), spread=0.001)
    kept = [index for index, arm in enumerate(whole.arms) if arm != "vit low"]
    part = Runs(
        tuple(whole.arms[index] for index in kept),
        tuple(whole.seeds[index] for index in kept),
        whole.scores[kept],
        whole.covariance[np.ix_(kept, kept)],
        1000,
    )
    found = importance(part, LEVELS)
    assert role(found, "net").role is Role.UNTOLD
    assert role(found, "lr").role is Role.MATTERS


def test_settings_that_always_change_together_are_confounded_and_speak_as_one():
    levels = {
        **LEVELS,
        "size": {arm: {"vit": "4", "resnet": "5", "swin": "6"}[net] for arm, net in LEVELS["net"].items()},
    }
    found = importance(runs_of(by_net), levels)
    assert role(found, "net").confounded == ("size",)
    assert role(found, "size").confounded == ("net",)
    assert role(found, "net with size").role is Role.MATTERS


def test_a_setting_that_another_decides_is_confounded_with_it():
    patches = {arm: "8" if net == "vit" else None for arm, net in LEVELS["net"].items()}
    kinds = {arm: "conv" if net == "resnet" else "attention" for arm, net in LEVELS["net"].items()}
    found = {factor.name: factor for factor in factors_of(sorted(patches), {**LEVELS, "patch": patches, "kind": kinds})}
    assert found["patch"].confounded == found["kind"].confounded == ("net",)
    assert found["net"].contrasts.shape[1] == 2


def test_a_setting_that_is_drawn_for_some_values_only_leaves_its_parent_to_be_told():
    arms = ["off", "lbp bits", "lbp scaled", "ldp bits", "ldp scaled"]
    levels = {
        "auxiliary": {arm: str(arm != "off") for arm in arms},
        "stream": {arm: None if arm == "off" else arm.split()[0] for arm in arms},
        "encoding": {arm: None if arm == "off" else arm.split()[1] for arm in arms},
    }
    found = {factor.name: factor for factor in factors_of(arms, levels)}
    assert [found[name].contrasts.shape[1] for name in levels] == [1, 1, 1]
    assert found["stream"].contrasts[0] == pytest.approx(0)


def test_a_value_that_no_other_stands_beside_is_named():
    arms = ["a 1", "a 2", "b 1", "b 2", "c 3"]
    levels = {name: {arm: arm.split()[place] for arm in arms} for place, name in enumerate(("net", "size"))}
    net, size = factors_of(arms, levels)
    assert (net.apart, size.apart) == (("c",), ("3",))
    assert net.contrasts[-1] == pytest.approx(0)


def test_of_a_search_what_another_setting_decides_is_found():
    columns = {
        "family": tuple("vvrrvr"),
        "patch": ("8", "8", None, None, "8", None),
        "weight": tuple("123456"),
        "encoding": tuple("sbsbbs"),
    }
    assert always_with(columns) == {"patch": ("family",), "family": ("patch",)}


def test_what_is_drawn_for_one_value_only_does_not_decide_it():
    columns = {"family": tuple("vvrrvrvv"), "patch": ("8", "16", None, None, "8", None, "16", "8")}
    assert always_with(columns) == {}
