"""Which difference the final stage can see, as far as can be told before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from search.claims.design import design_of
from search.claims.estimate import FEWEST_UNITS
from search.claims.power import SEED_SD, Spread, smallest_gap
from search.record.folder import RunFolder, Stage
from search.record.manifest import Rotation, read_manifest
from search.record.names import MANIFEST
from search.record.trials import Status
from search.space.epochs import num_finalists
from search.space.settings import SearchConfig
from search.strategy.finalists import arm_and_seed, of_one_kind, over_folds

FEWEST_DF = 4
"""Degrees of freedom from which a measured spread says more than an assumed one; smoke runs have 1."""


@dataclass(frozen=True)
class SeedSpread:
    """How far seeds spread the scores of an arm in a study of the same data, what single runs do to units included."""

    sd: float
    study: str


def what_is_seen(
    search: SearchConfig, rows: int, measured: SeedSpread | None, backbones: int = 1, folds: int = 1
) -> str:
    """In words; empty where nothing is compared. `rows`: of validation that scores are of. `backbones`: of the space.
    `folds`: values that are held out one after the other.
    """
    has_baselines = search.supervised != "none"
    arms, seeds = num_finalists(search, backbones) * (1 + has_baselines), search.final_seeds
    if arms < 2:
        return ""
    stage = f"{arms} arms (finalists{' and their supervised baselines' if has_baselines else ''}) x {seeds} seeds"
    stage += times_folds(folds)
    if rows < FEWEST_UNITS:
        return f"{stage}: with {rows} scored validation rows no difference can be told; it takes {FEWEST_UNITS}"
    spread = Spread(seed=measured.sd, run=0.0) if measured else Spread()
    gap = smallest_gap(arms, seeds, rows, spread)
    which = f"by {measured.sd:.4f} as in {measured.study}" if measured else f"by {SEED_SD:g}, which is assumed"
    return (
        f"{stage}: with {rows:,} scored validation rows a difference of about {gap:.2g} can be told (80% power, "
        f"if seeds spread scores {which})"
    )


def measured_spread(results: Path, data: DataConfig, over: str | None) -> SeedSpread | None:
    """That of the study of these data and this task whose final stage tells most of it; None where there is none.

    `results`: the folder of the run folders. `over`: which score of a seed counts where values are held out one after
    the other, None where they are not: a mean over them spreads less than one of them.
    """
    found = []
    for manifest in sorted(results.glob(f"*/{MANIFEST}")):
        folder = RunFolder(manifest.parent)
        try:
            begun = read_manifest(folder.manifest)
            of_study, rotation = begun.space.example().data, begun.rotation
        except ConfigError:  # a study that a much older version began, or no study
            continue
        is_same = _what(of_study) == _what(data) and (rotation and rotation.over) == over
        if is_same and (known := _spread(folder, rotation)):
            found.append(known)
    df, sd, study = max(found, default=(0, 0.0, ""))
    return SeedSpread(sd, study) if df else None


def _what(data: DataConfig) -> tuple[object, ...]:
    return data.sources, data.task, data.validate_on, data.hold_out, data.held_out


def _spread(folder: RunFolder, rotation: Rotation | None) -> tuple[int, float, str] | None:
    """Degrees of freedom, standard deviation after effects of arms and seeds, and the study's name."""
    scores_of: dict[tuple[str, int], list[float]] = {}  # by arm and seed, over all that is held out
    complete = [record for record in folder.records(Stage.FINAL) if record.status == Status.COMPLETE]
    for record in of_one_kind(complete, rotation):
        if record.last:
            scores_of.setdefault(arm_and_seed(record.name), []).append(record.last.best)
    if len({arm for arm, _ in scores_of}) < 2:
        return None
    scores = np.array([over_folds(scores, rotation and rotation.over) for scores in scores_of.values()])
    arms, seeds = tuple(arm for arm, _ in scores_of), tuple(seed for _, seed in scores_of)
    design = design_of(arms, seeds)
    if design.df < FEWEST_DF:
        return None
    return design.df, float(np.sqrt(((design.left @ scores) ** 2).sum() / np.trace(design.left))), folder.name


def times_folds(folds: int) -> str:
    """How often a final run is trained for want of which values are held out; empty for once."""
    return f" x {folds} held-out values" if folds > 1 else ""
