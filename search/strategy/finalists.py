"""Who is in the final stage: the best configurations and their supervised baselines, trained anew over fresh seeds.

The search has looked at many scores and kept the highest, so those of its best trials are too high. Only the scores of
the final stage are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any, NamedTuple

from lssat.config import Config, build
from lssat.model import catalog
from search.record.manifest import Rotation
from search.record.trials import TrialRecord
from search.space.definition import is_read_without_auxiliary
from search.space.settings import SearchConfig
from search.strategy.suggestion import Suggestion

SUPERVISED = "supervised"
HELD_OUT = "data.held_out"
FOLD = "-fold"
"""Before the number of a fold in the name of a run."""


@dataclass(frozen=True)
class Arm:
    """What is compared: runs that differ in nothing but their seed.

    `name`: that of the trial whose configuration it is, or `<trial>-supervised` for its supervised baseline, with the
    classified stream where that is a texture (`0007-supervised-CLBP`). `supervised`: the name of the arm that is its
    supervised baseline, among those of a final stage; its own where it is supervised itself, or no baselines are
    wanted.
    """

    name: str
    sampled: Mapping[str, Any]
    supervised: str = ""

    @property
    def trial(self) -> str:
        """The trial of the search that it comes from."""
        return trial_of(self.name)

    @cached_property
    def config(self) -> Config:
        """Its settings, whatever the seed."""
        return build({**self.sampled, "seed": 0})

    @property
    def identity(self) -> str:
        """Equal for arms whose runs would be the same, whichever of a seed's scores counts."""
        return self.config.of_training.hash()

    @cached_property
    def baseline(self) -> Arm:
        """The same backbone and recipe without the auxiliary task: what only that task reads is left out.

        The texture of its classified stream stays, so that the two differ in nothing but the auxiliary task.
        """
        streams, classified = self.config.streams, self.config.classified_stream
        kept = {
            key: value
            for key, value in self.sampled.items()
            # `data.image_size` must be a multiple of the unit, whether anything is masked or not.
            if key == "masking.unit" or is_read_without_auxiliary(key, streams)
        }
        without = {"auxiliary": False, "streams": f"MRGB/RRGB/C{classified}"}
        # The version before trained the baselines of other streams with another texture, under the name without stream.
        stream = "" if classified == "RGB" else f"-C{classified}"
        return Arm(f"{self.trial}-{SUPERVISED}{stream}", {**kept, **without})


class Fold(NamedTuple):
    """A value of `data.hold_out` that is held out, and where it stands among all that are."""

    number: int
    value: str


@dataclass(frozen=True)
class FinalRun:
    """One run of the final stage: an arm with a fresh seed; with `search.rotate`, and what it never sees. over: which
    score of a seed's folds counts, the mean or the worst.
    """

    arm: Arm
    seed: int
    fold: Fold | None = None
    over: str = "mean"

    @property
    def suggestion(self) -> Suggestion:
        """What is trained. A fold is named by its number, as its value need not be a file's name."""
        name, sampled = f"{self.arm.name}-seed{self.seed}", {**self.arm.sampled, "seed": self.seed}
        if self.fold is None:
            return Suggestion(name, sampled)
        return Suggestion(f"{name}{FOLD}{self.fold.number}", {**sampled, HELD_OUT: [self.fold.value]})

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.suggestion.name


def trial_of(name: str) -> str:
    """The trial of the search that an arm, or a run of one, comes from."""
    return name.partition("-")[0]


def arm_and_seed(run: str) -> tuple[str, int]:
    """What a run of the final stage is of, by its name: the name of its arm, and its seed, whatever is held out."""
    arm, _, seed = run.rpartition("-seed")
    return arm, int(seed.partition(FOLD)[0])


def of_one_kind(records: Sequence[TrialRecord], rotation: Rotation | None) -> list[TrialRecord]:
    """Of the complete runs of a final stage those that can be compared: those that do not rotate what they hold out, or
    of those that do each seed's that lack no value. A study that goes on may have begun otherwise, so its manifest says
    which.
    """
    found = [record for record in records if (FOLD in record.name) == (rotation is not None)]
    if rotation is None:
        return found
    num_folds = Counter(arm_and_seed(record.name) for record in found)
    return [record for record in found if num_folds[arm_and_seed(record.name)] == len(rotation.values)]


def finalists(eligible: Sequence[TrialRecord], search: SearchConfig) -> list[Arm]:
    """The best `search.finalists` different configurations of the eligible trials (best first), of all or of each
    backbone.
    """
    chosen: dict[str, Arm] = {}  # by identity
    taken: Counter[str] = Counter()
    for record in eligible:
        own = Arm(record.name, record.sampled)
        if not record.config.trains_auxiliary:  # without what it sampled and does not read
            own = Arm(record.name, own.baseline.sampled)
        group = group_of(catalog.architecture(record.config.backbone), search)
        if own.identity in chosen or taken[group] == search.finalists:
            continue
        taken[group] += 1
        chosen[own.identity] = own
    return list(chosen.values())


def final_arms(chosen: Sequence[Arm], baseline_of: Callable[[Arm], Arm]) -> list[Arm]:
    """The finalists, each followed by its supervised baseline; every arm once."""
    arms: dict[str, Arm] = {}  # by identity
    for own in chosen:
        baseline = baseline_of(own)
        baseline = arms.get(baseline.identity, baseline)
        arms.setdefault(own.identity, replace(own, supervised=baseline.name))
        arms.setdefault(baseline.identity, replace(baseline, supervised=baseline.name))
    return list(arms.values())


def group_of(backbone: str, search: SearchConfig) -> str:
    """Of which trials `search.finalists` are the best: those with the same answer."""
    return backbone if search.finalists_per == "backbone" else ""


def final_runs(
    arms: Sequence[Arm], search: SearchConfig, first_seed: int, rotation: Rotation | None = None
) -> list[FinalRun]:
    """A run of each arm with each of `search.final_seeds` seeds, seed by seed, and of each with each fold. Supervised
    baselines, which are over sooner, come last of each, so that few places stand empty at the end.
    """
    arms = sorted(arms, key=lambda arm: not arm.config.trains_auxiliary)
    seeds = range(first_seed, first_seed + search.final_seeds)
    if rotation is None:
        return [FinalRun(arm, seed) for seed in seeds for arm in arms]
    folds = [Fold(number, value) for number, value in enumerate(rotation.values)]
    return [FinalRun(arm, seed, fold, rotation.over) for seed in seeds for fold in folds for arm in arms]


def rotation_of(runs: Sequence[FinalRun]) -> Rotation | None:
    """What these runs hold out one after the other; None where they all hold out the same."""
    values = list(dict.fromkeys(run.fold.value for run in runs if run.fold))
    return Rotation(values, runs[0].over) if values else None


def arm_scores(
    runs: Sequence[FinalRun], scores: Mapping[str, float], of: Mapping[str, float] | None = None
) -> dict[str, dict[int, float]]:
    """Arm -> seed -> its score, from those of runs by name: where values are held out one after the other, the mean
    over them or the worst. A seed of which a run has no score has none.

    `of`: another number of the runs, of which that of a seed is wanted: the mean over the runs whose scores count, so
    that of the worst fold where the worst counts.
    """
    grouped: dict[tuple[str, int], list[FinalRun]] = {}
    for run in runs:
        grouped.setdefault((run.arm.name, run.seed), []).append(run)
    found: dict[str, dict[int, float]] = {run.arm.name: {} for run in runs}
    for (arm, seed), of_seed in grouped.items():
        names = [run.name for run in of_seed]
        if all(name in scores for name in names):
            counted = [min(names, key=lambda name: scores[name])] if of_seed[0].over == "worst" else names
            found[arm][seed] = fmean((of or scores)[name] for name in counted)
    return found


def over_folds(scores: Sequence[float], over: str | None) -> float:
    """The score of a seed from those of its folds, of which there may be one."""
    return min(scores) if over == "worst" else fmean(scores)
