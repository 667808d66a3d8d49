"""Two rules of choosing among the same trained runs: by the score on held-out values, as the study does, and by that in
domain, as one does without holding anything out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from lssat.model import catalog
from lssat.train.result import IN_DOMAIN, EpochResult
from search.claims.ranks import Correlation, rank_correlation
from search.record.folder import RunFolder, Stage
from search.record.manifest import Rotation
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import FinalRun, arm_scores, rotation_of


@dataclass(frozen=True)
class Judged:
    """A trial or an arm under both rules, each of which keeps the epoch that it finds best.

    `held_out`: the best score on held-out values, and `beside`, that in domain of the same epoch. `in_domain`: the best
    in domain, and `got`, the score on held-out values of that epoch. Of an arm they are means over its seeds. Where a
    seed's worst fold counts, `held_out` and `got` are of the worst of each, as both are compared with each other;
    `beside` is of the same runs as `held_out`; and `in_domain` is the mean over folds, since who chooses in domain
    holds nothing out, and knows no worst value.
    """

    name: str
    backbone: str
    held_out: float
    beside: float
    in_domain: float
    got: float


@dataclass(frozen=True)
class TwoRules:
    """What both rules say of the `judged`, which are `what` in words: trials, or arms of the final stage. rotation: of
    the arms.
    """

    judged: Sequence[Judged]
    what: str
    rotation: Rotation | None = None

    @cached_property
    def chosen(self) -> Judged:
        """By the score on held-out values."""
        return max(self.judged, key=lambda each: each.held_out)

    @cached_property
    def chosen_in_domain(self) -> Judged:
        """By the score in domain."""
        return max(self.judged, key=lambda each: each.in_domain)

    @property
    def differ(self) -> bool:
        """Whether another one would have been chosen in domain."""
        return self.chosen.name != self.chosen_in_domain.name

    @property
    def correlation(self) -> Correlation | None:
        """Of both rankings; None of too few."""
        ranked = [(each.held_out, each.in_domain) for each in self.judged]
        return rank_correlation(*zip(*ranked, strict=True)) if ranked else None

    @property
    def sentence(self) -> str:
        """Whom each rule chooses."""
        by_held_out, in_domain = self.chosen, self.chosen_in_domain
        where = "held-out values"
        if self.rotation:
            where += f" (the {self.rotation.over} of {', '.join(self.rotation.values)})"
        chosen = f"{by_held_out.name} ({by_held_out.backbone}) with {by_held_out.held_out:.4f} on {where}"
        if not self.differ:
            return f"both rules choose {chosen}"
        return (
            f"the score in domain would have chosen {in_domain.name} ({in_domain.backbone}; {in_domain.in_domain:.4f} "
            f"in domain), which gets {in_domain.got:.4f} on held-out values; these "
            f"choose {chosen}"
        )


def of_trials(records: Sequence[TrialRecord]) -> TwoRules | None:
    """Of the trials with the full budget; None where nothing is held out, or none is complete."""
    found = [judged for record in records if (judged := _judged(record))]
    return TwoRules(found, "trials") if found else None


def of_arms(folder: RunFolder, runs: Sequence[FinalRun]) -> TwoRules | None:
    """Of the arms of a final stage whose runs are all complete; None as of trials."""
    judged = {run.name: found for run in runs if (found := _judged(folder.record(Stage.FINAL, run.name)))}
    by_arm: dict[str, list[Judged | None]] = {}
    for run in runs:
        by_arm.setdefault(run.arm.name, []).append(judged.get(run.name))
    whole = {name: next(filter(None, of_arm)).backbone for name, of_arm in by_arm.items() if all(of_arm)}
    of = {
        key: {name: float(getattr(each, key)) for name, each in judged.items()}
        for key in ("held_out", "beside", "in_domain", "got")
    }
    scores = {
        "held_out": arm_scores(runs, of["held_out"]),
        "beside": arm_scores(runs, of["held_out"], of["beside"]),
        "in_domain": arm_scores([replace(run, over="mean") for run in runs], of["in_domain"]),
        "got": arm_scores(runs, of["got"]),
    }
    arms = [
        Judged(name, backbone, **{key: fmean(of_key[name].values()) for key, of_key in scores.items()})
        for name, backbone in whole.items()
    ]
    return TwoRules(arms, "arms", rotation_of(runs)) if arms else None


def of_study(folder: RunFolder, runs: Sequence[FinalRun]) -> TwoRules | None:
    """Of what the winner is chosen from."""
    return of_arms(folder, runs) or of_trials(folder.records(Stage.SEARCH))


def disagreement(folder: RunFolder, runs: Sequence[FinalRun]) -> str | None:
    """A line for the screen where both rules choose differently."""
    found = of_study(folder, runs)
    return f"  {found.sentence}" if found and found.differ else None


def _judged(record: TrialRecord) -> Judged | None:
    """None of a run that is not complete, or has no score in domain."""
    epochs = record.epochs
    if record.status != Status.COMPLETE or not epochs or IN_DOMAIN not in epochs[0].metrics:
        return None
    best = max(epochs, key=lambda epoch: epoch.score)  # the first of equals, as in training
    other = max(epochs, key=_in_domain)
    backbone = catalog.architecture(record.config.backbone)
    return Judged(record.name, backbone, best.score, _in_domain(best), _in_domain(other), other.score)


def _in_domain(epoch: EpochResult) -> float:
    return float(epoch.metrics[IN_DOMAIN])
