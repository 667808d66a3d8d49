"""Planted tasks: the same arms in several studies, and how often something false is said of which suits all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from search.claims.estimate import estimate
from search.claims.regret import Regrets, Suits, regrets
from search.claims.runs import Array, Runs
from search.claims.words import LAST_BITS, MARGIN, Word, beside_baselines, beside_best
from search.planted.studies import Plant, draw, with_truth
from search.planted.tally import Tally, is_false

TASKS = 3
LEAD = 4
"""By how many standard errors an arm is planted beyond the margin."""
BEYOND = 1.001
"""Times the margin is just outside it."""
NEAR_EARLIER = 0.02
"""The margin of the rule before, which took a single run of each arm."""

Truth = Callable[[Plant], Array]
"""Expected scores [tasks, arms] of a kind of study."""


def all_equal(plant: Plant) -> Array:
    """Every arm suits all."""
    return np.zeros((TASKS, plant.arms))


def one_leads(plant: Plant) -> Array:
    """The first arm is ahead of all others everywhere: it alone suits all."""
    truth = all_equal(plant)
    truth[:, 0] = _far(plant)
    return truth


def each_has_its_own(plant: Plant) -> Array:
    """Another arm is ahead in each task: none suits all."""
    truth = all_equal(plant)
    truth[np.arange(TASKS), np.arange(TASKS)] = _far(plant)
    return truth


def just_outside(plant: Plant) -> Array:
    """The first arm leads as before, but in the last task the second is ahead of it by just more than the margin."""
    truth = one_leads(plant)
    truth[-1, 1] = _far(plant) + BEYOND * MARGIN
    return truth


def just_inside(plant: Plant) -> Array:
    """The first arm is behind another in each task, by the whole margin: it alone suits all."""
    truth = each_has_its_own(plant)
    truth[:, -1] = _far(plant) - MARGIN
    return np.roll(truth, 1, axis=1)


TRUTHS: dict[str, Truth] = {
    "all equal": all_equal,
    "one leads in all": one_leads,
    "another in each": each_has_its_own,
    "just outside the margin": just_outside,
    "at the margin": just_inside,
}


def tally_one_for_all(plant: Plant, truth: Truth, studies: int, seed: int = 0) -> Tally:
    """Counts over so many studies of several tasks.

    false: something false is said. held: all bounds hold their regrets. all told: of every arm it is said, and rightly,
    whether it suits all. earlier: something false is said by the rule before.
    """
    generator = np.random.default_rng(seed)
    found, planted = Tally(), truth(plant)
    for _ in range(studies):
        runs = [with_truth(draw(plant, generator), of_task) for of_task in planted]
        said = regrets({str(task): estimate(of_task) for task, of_task in enumerate(runs)})
        told = list(_told(said, planted))
        found.studies += 1
        found.seen["false"] += False in told
        found.seen["held"] += _holds(said, planted)
        found.seen["all told"] += all(told) and None not in told
        found.seen["earlier"] += _earlier_rule_is_false(runs, planted)
    return found


Family = Callable[[Sequence[Runs], Array], bool]
"""Whether a family of claims says something false of studies whose expected scores [tasks, arms] are these."""


def best_is_false(runs: Sequence[Runs], truth: Array) -> bool:
    """In the comparison with the best, of the first study."""
    found = estimate(runs[0])
    expected = dict(zip(found.arms, truth[0].tolist(), strict=True))
    return any(is_false(claim, expected) for claim in beside_best(found))


def texture_is_false(runs: Sequence[Runs], truth: Array) -> bool:
    """Beside the baselines, of the first study: the second half of the arms are those of the first."""
    found, half = estimate(runs[0]), truth.shape[1] // 2
    pairs = list(zip(found.arms[:half], found.arms[half:], strict=True))
    gains = (truth[0, :half] - truth[0, half:]).tolist()
    words = [claim.word for claim in beside_baselines(found, pairs)]
    return any(
        (word is Word.BETTER and gain <= 0)
        or (word is Word.WORSE and gain >= 0)
        or (word is Word.EQUIVALENT and abs(gain) >= MARGIN - LAST_BITS)
        for word, gain in zip(words, gains, strict=True)
    )


def one_for_all_is_false(runs: Sequence[Runs], truth: Array) -> bool:
    """Over all studies, of the arms that are no baselines."""
    half = truth.shape[1] // 2
    said = regrets({str(task): estimate(_first_arms(of_task, half)) for task, of_task in enumerate(runs)})
    return False in _told(said, truth[:, :half])


FAMILIES: dict[str, Family] = {
    "best": best_is_false,
    "texture": texture_is_false,
    "one for all": one_for_all_is_false,
}
"""Each family of claims that speaks of a study; another joins by an entry here."""


def tally_families(
    plant: Plant, truth: Truth, studies: int, seed: int = 0, families: Mapping[str, Family] = FAMILIES
) -> Tally:
    """Counts over studies of which every family speaks: in how many each says something false, and in how many any."""
    generator = np.random.default_rng(seed)
    found, planted = Tally(), truth(plant)
    for _ in range(studies):
        runs = [with_truth(draw(plant, generator), of_task) for of_task in planted]
        said = [name for name, is_so in families.items() if is_so(runs, planted)]
        found.studies += 1
        found.seen.update(said)
        found.seen["any"] += bool(said)
    return found


def _told(said: Regrets, truth: Array) -> list[bool | None]:
    """Of each arm, whether what is said of it is true; None where nothing is."""
    suits = _true_regrets(truth).max(axis=0) <= MARGIN + LAST_BITS
    told: dict[Suits, bool] = {Suits.SUITS: True, Suits.DOES_NOT: False}
    words = said.words().values()
    return [told[word] == bool(is_so) if word in told else None for word, is_so in zip(words, suits, strict=True)]


def _holds(said: Regrets, truth: Array) -> bool:
    actual = _true_regrets(truth)
    return bool(((said.low <= actual + LAST_BITS) & (actual <= said.high + LAST_BITS)).all())


def _earlier_rule_is_false(runs: Sequence[Runs], truth: Array) -> bool:
    """The rule before: of one run of each arm, those within its margin of the highest score in every task suit all,
    and none does where there are no such.
    """
    single = np.array([of_task.scores[np.array(of_task.seeds) == 0] for of_task in runs])
    said = _true_regrets(single).max(axis=0) <= NEAR_EARLIER
    suits = _true_regrets(truth).max(axis=0) <= NEAR_EARLIER + LAST_BITS
    return bool((said & ~suits).any() or (suits.any() and not said.any()))


def _true_regrets(truth: Array) -> Array:
    return np.asarray(truth.max(axis=1, keepdims=True) - truth)


def _first_arms(runs: Runs, count: int) -> Runs:
    """The runs of the first so many arms."""
    names = sorted(set(runs.arms))[:count]
    kept = np.flatnonzero(np.isin(runs.arms, names))
    arms, seeds = tuple(runs.arms[run] for run in kept), tuple(runs.seeds[run] for run in kept)
    return Runs(arms, seeds, runs.scores[kept], runs.covariance[np.ix_(kept, kept)], runs.units)


def _far(plant: Plant) -> float:
    """A lead that is beyond the margin by `LEAD` standard errors."""
    return MARGIN + LEAD * plant.gap_of_one_se
