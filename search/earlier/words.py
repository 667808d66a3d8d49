"""What is said of earlier studies: what was taken over of them and what not, and whether it held."""

from __future__ import annotations

from search.earlier.agreement import FEWEST, LEVEL, Reached, agreement
from search.space.definition import EarlierStudy, Space


def taken(study: EarlierStudy) -> str:
    """What was taken over of a study, and what was not."""
    partly = sum(not trial.is_whole for trial in study.trials)
    in_part = f" ({partly} without settings that lie outside it)" if partly else ""
    text = f"{study.name}: {len(study.trials)} trials lie in this space{in_part}, tried first: {', '.join(study.first)}"
    return text + (f"; not taken: {not_taken(study)}" if study.left_out else "")


def other_data(study: EarlierStudy, fingerprint: str) -> str:
    """What it means that a study was of other data than those of this fingerprint; empty where it was of the same."""
    if study.fingerprint == fingerprint:
        return ""
    return (
        f"{study.name}: of other data than these (another fingerprint); where they share images, what it validated on "
        "may be learnt from here"
    )


def not_taken(study: EarlierStudy) -> str:
    """How many trials of it were left out, and why."""
    return ", ".join(f"{count} {reason}" for reason, count in study.left_out.items())


def held(space: Space, study: EarlierStudy, reached: Reached) -> str:
    """Whether a study has earned trust with the trials of this one so far."""
    found = agreement(space, study, reached)
    if found.number < FEWEST:
        return f"open: {found.number} of its trials were run here, and {FEWEST} are needed to tell"
    order = f"of {found.number} trials run in both, Kendall's tau {found.tau:.2f}, by chance in {found.p:.0%}"
    if found.is_earned:
        return f"yes: {order}, so its other trials told what to try"
    return f"no: {order} (at most {LEVEL:.0%} are asked), so its other trials were left aside"
