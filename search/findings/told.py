"""Claims as tables and screens say them: a difference, its interval, its word, and what it would take to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lssat.text.durations import duration
from search.claims.cost import Cost, cost_to_tell
from search.claims.estimate import Estimate
from search.claims.words import Claim
from search.findings.spent import on_the_clock
from search.record.folder import RunFolder, Stage


@dataclass(frozen=True)
class Rule:
    """How arms are compared. margin: expected scores that differ by less are equivalent. candidates: of how many the
    arms were picked on the same validation set; 0: they were not. seconds_of_a_seed: on the clock, to train every arm
    from one more seed; None where that is not known.
    """

    margin: float
    candidates: int = 0
    seconds_of_a_seed: float | None = None


@dataclass(frozen=True)
class Told:
    """A claim by a rule; `cost`: what would tell, where it is open."""

    claim: Claim
    rule: Rule
    cost: Cost | None = None

    @property
    def difference(self) -> float | None:
        """None for the arm that the others stand beside."""
        return None if self.claim.arm == self.claim.beside else self.claim.difference

    @property
    def half(self) -> float | None:
        """Of the interval around the difference; None where there is none."""
        return None if math.isnan(self.claim.high) else self.claim.high - self.claim.difference

    @property
    def plus_minus(self) -> str:
        """The difference in words, with half of its interval where there is one."""
        if self.difference is None:
            return ""
        return f"{self.difference:+.4f}" + ("" if self.half is None else f" ± {self.half:.4f}")

    @property
    def to_tell(self) -> str:
        """What would tell, or why nothing can; empty where it is told."""
        if self.cost is None:
            return self.claim.why
        seconds = self.rule.seconds_of_a_seed
        return self.cost.in_words(duration(seconds * self.cost.seeds) if seconds and self.cost.seeds else "")


def told(found: Estimate, claims: Sequence[Claim], rule: Rule) -> list[Told]:
    """Claims with what they cost."""
    return [Told(claim, rule, cost_to_tell(found, claim, rule.margin)) for claim in claims]


def would_tell(open_claims: Sequence[Told]) -> str:
    """The clause that says what would tell them all; of claims that nothing can tell, why."""
    costs = [of.cost for of in open_claims if of.cost]
    if not costs:
        return open_claims[0].to_tell
    seeds, units = ([getattr(cost, name) for cost in costs] for name in ("seeds", "units"))
    hardest = Cost(*(None if None in numbers else max(numbers) for numbers in (seeds, units)))
    said = replace(open_claims[0], cost=hardest).to_tell
    return f"{said} would tell" if hardest.seeds or hardest.units else f"{said}, would tell"


def seconds_of_a_seed(folder: RunFolder, stage: Stage, arms: Mapping[str, tuple[str, int]]) -> float | None:
    """How long one more run of every arm takes on the clock, at the rate of these: name of a run -> (arm, seed)."""
    records = [folder.record(stage, name) for name in arms]
    trained, passed = sum(record.seconds for record in records), on_the_clock(records)
    if not trained:
        return None
    seconds: dict[str, dict[int, float]] = {}  # of a seed, for all that is held out one after the other
    for record in records:
        arm, seed = arms[record.name]
        of_arm = seconds.setdefault(arm, {})
        of_arm[seed] = of_arm.get(seed, 0.0) + record.seconds
    each = (sum(of_arm.values()) / len(of_arm) for of_arm in seconds.values())
    return sum(each) / max(1.0, trained / max(passed, 1e-3))
