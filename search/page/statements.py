"""Claims of `search.claims` as statements of the page: the sentence, and what stands behind it."""

from __future__ import annotations

import math

from search.claims.words import Claim, Word
from search.findings.told import Told, would_tell
from search.page.document import Statement

BESIDE_BEST = "closed test beside the best (Marcus, Peritz, Gabriel), all claims together at 5%"
BESIDE_BASELINE = "Student's t over seeds and validation units, all claims together at 5%"
"""By which rule a claim is made, in words; docs/claims.md says how often it errs."""
SAID = {
    Word.BEST: "{arm} is the best: every other arm is worse",
    Word.MAY_BE_BEST: "{arm} may be the best as well as {beside}",
    Word.BETTER: "{arm} is better than {beside}",
    Word.WORSE: "{arm} is worse than {beside}",
    Word.EQUIVALENT: "{arm} and {beside} are equivalent",
    Word.UNTOLD: "Whether {arm} and {beside} differ cannot be told",
}


def of_claim(told: Told, id: str, data: str) -> Statement:
    """A claim of an arm beside another. `data`: the table with its numbers."""
    claim = told.claim
    sentence = SAID[claim.word].format(arm=claim.arm, beside=claim.beside)
    if claim.arm == claim.beside and claim.word is Word.MAY_BE_BEST:
        sentence = f"{claim.arm} has the highest mean and may be the best"
    elif told.plus_minus:
        sentence += f" ({told.plus_minus})"
    if told.to_tell:
        sentence += f": {would_tell([told])}"
    rule = BESIDE_BEST if claim.tied or claim.arm == claim.beside else BESIDE_BASELINE
    return Statement(id, f"{sentence}.", rule, interval_of(claim), told.rule.margin, data)


def interval_of(claim: Claim) -> tuple[float, float] | None:
    """Of the difference, where there is one."""
    return None if math.isnan(claim.low) else (claim.low, claim.high)
