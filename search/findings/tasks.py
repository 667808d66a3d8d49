"""The same backbones on several tasks: each task by itself, all of them together, and what makes them less comparable.

One run folder is one task; the page of `search/across.py` and the report are made of these values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from lssat.errors import ConfigError
from search.claims.estimate import Estimate, estimate
from search.claims.ranks import FEWEST_TASKS, critical_difference, mean_ranks
from search.claims.regret import Regrets, one_for_all, regrets
from search.claims.words import beside_best
from search.findings.task_study import TaskStudy
from search.findings.told import Rule, Told, told


@dataclass(frozen=True)
class Compared:
    """The backbones of a task, of which `found` is known; `told`: of each beside the best, the highest mean first."""

    found: Estimate
    told: Sequence[Told]

    def of(self, backbone: str) -> Told:
        """What is told of one."""
        return next(of for of in self.told if of.claim.arm == backbone)

    def mean(self, backbone: str) -> float:
        """Its mean score."""
        return float(self.found.means[self.found.arms.index(backbone)])

    @property
    def why(self) -> str:
        """What stands in the way of telling anything; empty where nothing does."""
        return next((of.claim.why for of in self.told if of.claim.why), "")

    @property
    def rests_on(self) -> str:
        """What the words rest on, or why there are none."""
        runs = self.found.runs
        seeds = f"{min(runs)}" if min(runs) == max(runs) else f"{min(runs)} to {max(runs)}"
        return f"{seeds} seeds, " + (
            f"cannot be told: {self.why}" if self.why else f"{self.found.units} validation units"
        )


def compared(found: Estimate, rule: Rule) -> Compared:
    """The backbones of a task by its rule."""
    return Compared(found, told(found, beside_best(found, rule.margin), rule))


def compared_in(study: TaskStudy, backbones: Sequence[str], margin: float) -> Compared:
    """These backbones, of their final runs."""
    return compared(estimate(study.runs(backbones)), study.rule(backbones, margin))


@dataclass(frozen=True)
class Tasks:
    """`each`: task -> its backbones, the same in all; `regrets`: of all tasks together."""

    each: Mapping[str, Compared]
    regrets: Regrets
    margin: float

    @property
    def backbones(self) -> list[str]:
        """The highest mean over tasks first."""
        arms = self.regrets.arms
        means = np.mean([of_task.found.means for of_task in self.each.values()], axis=0)
        return [arms[arm] for arm in np.argsort(-means, kind="stable")]

    @property
    def one_for_all(self) -> str:
        """Whether one backbone suits all, in a sentence."""
        return f"Within {self.margin:g} of the best in every task: {one_for_all(self.regrets, self.margin)}."

    @property
    def ranks(self) -> str:
        """Mean ranks with Nemenyi's critical difference, or why there are none."""
        arms, count = self.regrets.arms, len(self.each)
        apart = critical_difference(len(arms), count)
        if count < FEWEST_TASKS:
            return (
                f"Ranks are not compared: over {count} tasks, mean ranks would have to lie {apart:.1f} apart "
                f"(Nemenyi), of {len(arms) - 1} at most. From {FEWEST_TASKS} tasks on they are."
            )
        of_arms = mean_ranks(np.array([of_task.found.means for of_task in self.each.values()]))
        listed = ", ".join(f"{arms[arm]} {of_arms[arm]:.2f}" for arm in np.argsort(of_arms))
        return (
            f"Mean ranks over {count} tasks: {listed}. Those that lie more than {apart:.2f} apart differ (Nemenyi, 5%)."
        )


def tasks(each: Mapping[str, Compared], margin: float) -> Tasks:
    """All tasks together, of the same backbones."""
    return Tasks(each, regrets({task: of_task.found for task, of_task in each.items()}), margin)


def tasks_of(studies: Sequence[TaskStudy], margin: float) -> Tasks:
    """Of the final stages. Raises ConfigError where they have fewer than two backbones in common."""
    backbones = shared(studies, [study.finals for study in studies], "have final runs")
    return tasks({study.name: compared_in(study, backbones, margin) for study in studies}, margin)


def shared(studies: Sequence[TaskStudy], of_each: Sequence[Mapping[str, object]], what: str) -> list[str]:
    """The backbones of all. Raises ConfigError for fewer than two."""
    found = [backbone for backbone in of_each[0] if all(backbone in of_task for of_task in of_each)]
    if len(found) < 2:
        raise ConfigError(
            f"fewer than two backbones {what} in all of {', '.join(study.name for study in studies)}; run the same "
            "space, such as spaces/per_task.yaml, on each task"
        )
    return found


def why_no_claims(studies: Sequence[TaskStudy]) -> str:
    """That studies have no final stage, and what makes one; empty where all have."""
    without = [study.name for study in studies if not study.finals]
    if not without:
        return ""
    which = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'}"
    return (
        f"Neither which backbone suits which task nor whether one suits all can be told: {which} no final stage, and "
        "single trials differ by luck. Go on with `--resume --set search.finalists=1 --set "
        "search.finalists_per=backbone --set search.supervised=none`, as spaces/per_task.yaml has it."
    )


def notes(studies: Sequence[TaskStudy]) -> list[str]:
    """What makes the studies less comparable than they look."""
    found = []
    for one, other in combinations(studies, 2):
        if one.data and one.data == other.data:
            found.append(f"Note: {one.name} and {other.name} are of the same task and data, so they are no two tasks.")
    profiles = {study.profile for study in studies}
    if len(profiles) > 1:
        which = ", ".join(f"{study.name} of {study.profile or 'an unknown one'}" for study in studies)
        found.append(f"Note: the studies are of different profiles ({which}): what suits may be due to those.")
    found += [f"Note: {study.name} {study.unequally_tuned}." for study in studies if study.unequally_tuned]
    kept = set(studies[0].single).intersection(*(study.finals or study.single for study in studies[1:]))
    kept &= set(studies[0].finals or studies[0].single)
    left_out = sorted({backbone for study in studies for backbone in study.single} - kept)
    if left_out:
        found.append(f"Left out, because not all tasks have them finished: {', '.join(left_out)}.")
    return found


def names_of(folders: Sequence[Path]) -> list[str]:
    """The folders' names without what they begin with alike: `emotion` of `per_task-emotion`; that of one as it is.

    Raises ConfigError for one given twice.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise ConfigError(f"each run folder must have a name of its own, but got {', '.join(names)}")
    if len(names) == 1:
        return names
    length = 0
    while all(name[: length + 1] == names[0][: length + 1] for name in names) and length < min(map(len, names)):
        length += 1
    start = names[0][:length].rfind("-") + 1
    return [name[start:] for name in names]
