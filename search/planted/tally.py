"""How often something false is said of planted studies, how often what is true, and how often intervals hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from search.claims.estimate import estimate
from search.claims.runs import Array, Runs
from search.claims.words import LAST_BITS, MARGIN, Claim, Word, beside_baselines, beside_best
from search.planted import earlier_rule
from search.planted.studies import Plant, draw, with_truth

LEADS = (3, 4)
"""By how many standard errors the first arm is planted ahead of all others."""


@dataclass
class Tally:
    """Of so many studies, in how many each of these was so: see `add`."""

    studies: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def share(self, what: str) -> float:
        """Of all studies."""
        return self.seen[what] / self.studies

    def limits(self, what: str) -> tuple[float, float]:
        """The 95% Monte Carlo limits of a share (Clopper and Pearson)."""
        count, others = self.seen[what], self.studies - self.seen[what]
        low = stats.beta.ppf(0.025, count, others + 1) if count else 0.0
        high = stats.beta.ppf(0.975, count + 1, others) if others else 1.0
        return float(low), float(high)


def tally(
    plant: Plant, studies: int, drawn: Callable[[Plant, np.random.Generator], Runs] = draw, seed: int = 0
) -> Tally:
    """Counts over so many studies of a kind."""
    generator = np.random.default_rng(seed)
    found = Tally()
    for _ in range(studies):
        runs = drawn(plant, generator)
        found.studies += 1
        found.seen.update(what for what, was_so in _of_equal_arms(plant, runs).items() if was_so)
        found.seen.update(what for what, was_so in _of_a_leader(plant, runs).items() if was_so)
    return found


def tally_earlier(plant: Plant, studies: int, seed: int = 0) -> Tally:
    """The same of the earlier rule: false, texture, lead N."""
    generator = np.random.default_rng(seed)
    found = Tally()
    for _ in range(studies):
        runs = draw(plant, generator)
        scores = _by_arm(runs)
        found.studies += 1
        found.seen["false"] += "worse" in earlier_rule.verdicts_beside_best(scores).values()
        found.seen["texture"] += any(_earlier_tells(scores, pair) for pair in _pairs(sorted(scores)))
        for lead in LEADS:
            moved, _ = _leading(plant, runs, lead * plant.gap_of_one_se)
            words = earlier_rule.verdicts_beside_best(_by_arm(moved))
            found.seen[f"lead {lead}"] += words.get(sorted(scores)[1]) == "worse"
    return found


def is_false(claim: Claim, truth: Mapping[str, float], margin: float = MARGIN) -> bool:
    """Whether a claim beside the best is false where the arms have these expected scores."""
    best = max(truth.values())
    if claim.word is Word.WORSE:
        return truth[claim.arm] >= best
    if claim.word is Word.BEST:
        return truth[claim.arm] < best or list(truth.values()).count(best) > 1
    return claim.word is Word.EQUIVALENT and abs(truth[claim.arm] - truth[claim.beside]) >= margin - LAST_BITS


def _of_equal_arms(plant: Plant, runs: Runs) -> dict[str, bool]:
    """false: some arm is called worse, or best. texture: some arm is called better or worse than its
    baseline; the first arms have the last for baselines. pair holds: the interval of two named arms has the truth.
    shown holds: so has the interval of the last arm of the table beside the first.
    """
    found = estimate(runs)
    claims, truth = beside_best(found), dict.fromkeys(found.arms, 0.0)
    texture = beside_baselines(found, _pairs(found.arms), plant.candidates)
    first = beside_baselines(found, [(found.arms[0], found.arms[1])])[0]
    return {
        "false": any(is_false(claim, truth) for claim in claims),
        "texture": any(claim.word in (Word.BETTER, Word.WORSE) for claim in texture),
        "pair holds": first.low <= 0 <= first.high,
        "shown holds": all(claim.low <= 0 <= claim.high for claim in claims[1:]),
    }


def _of_a_leader(plant: Plant, runs: Runs) -> dict[str, bool]:
    """lead N: the named second arm is called worse where the first is ahead of all others by N standard errors; sole N:
    the first is called best. half false: some claim is false, where half of the arms are ahead of the others by the
    largest of these leads. margin false: so, where the first is ahead by just the margin of equivalence.
    """
    seen = {}
    for lead in LEADS:
        moved, _ = _leading(plant, runs, lead * plant.gap_of_one_se)
        claims = beside_best(estimate(moved))
        words = {claim.arm: claim.word for claim in claims}
        first, second = sorted(words)[:2]
        seen[f"lead {lead}"] = words[second] is Word.WORSE
        seen[f"sole {lead}"] = words[first] is Word.BEST
    moved, truth = _leading(plant, runs, max(LEADS) * plant.gap_of_one_se, plant.arms // 2)
    seen["half false"] = any(is_false(claim, truth) for claim in beside_best(estimate(moved)))
    moved, truth = _leading(plant, runs, MARGIN)
    seen["margin false"] = any(is_false(claim, truth) for claim in beside_best(estimate(moved)))
    return seen


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """The first half of the arms, each with its baseline in the last."""
    half = len(arms) // 2
    return list(zip(arms[:half], arms[-half:], strict=True))


def _leading(plant: Plant, runs: Runs, gap: float, leaders: int = 1) -> tuple[Runs, dict[str, float]]:
    truth: Array = np.zeros(plant.arms)
    truth[:leaders] = gap
    return with_truth(runs, truth), dict(zip(sorted(set(runs.arms)), truth.tolist(), strict=True))


def _by_arm(runs: Runs) -> dict[str, dict[int, float]]:
    scores: dict[str, dict[int, float]] = {arm: {} for arm in sorted(set(runs.arms))}
    for arm, seed, score in zip(runs.arms, runs.seeds, runs.scores.tolist(), strict=True):
        scores[arm][seed] = score
    return scores


def _earlier_tells(scores: earlier_rule.Scores, pair: Sequence[str]) -> bool:
    arm, baseline = pair
    compared = earlier_rule.verdicts({name: scores[name] for name in pair}, baseline)
    return compared[arm] != "tie"
