"""The section `search` of a space file: how a space is searched, and for how long."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from lssat.settings.section import Float, Int, Section


class SearchConfig(Section):
    """How the space is searched."""

    sampler: Literal["tpe", "random", "grid", "gp", "nsga2"] = Field(
        "tpe",
        description="tpe: multivariate, in groups of keys that occur together; grid: every point once; gp, nsga2: "
        "Optuna's",
    )
    scheduler: Literal["asha", "promotion", "hyperband", "median", "none"] = Field(
        "asha",
        description="asha: stop trials that are behind, one bracket; promotion: pause all at each rung, the best go "
        "on; hyperband: several brackets; median: stop those below the median; none: full budget for all",
    )
    objectives: list[Literal["score", "parameters", "flops", "gap"]] = Field(
        ["score"],
        description="score up; parameters, flops (operations to classify an image) and gap between subgroups down; the "
        "scheduler works on the first, which is the score",
    )
    num_trials: Int = Field(20, ge=1, description="trials of the study")
    max_concurrent: Int | None = Field(None, ge=1, description="trials at a time; None: as many as the machines hold")
    # The sampler of each trial is seeded with 100,003 times this seed, and NumPy takes no seed of 2**32 or more.
    seed: Int = Field(0, ge=0, le=40_000, description="seed of the sampler")
    startup_trials: Int = Field(
        8, ge=1, description="random trials before tpe or gp models the space; nsga2: its population"
    )
    grace_epochs: Int = Field(2, ge=1, description="epochs that every trial gets before a scheduler may stop it")
    reduction_factor: Int = Field(
        3, ge=2, description="promotion, asha, hyperband: one of this many goes on at each rung"
    )
    hang_minutes: Float | None = Field(
        30,
        gt=0,
        description="a trial that is without a new epoch for so long, and for ten times its longest epoch, hangs: its "
        "process is ended, and it goes on from its last epoch; before its first epoch ten times as long; None: never",
    )
    max_epochs: Int | None = Field(None, ge=1, description="budget: epochs of all trials together")
    max_hours: Float | None = Field(None, gt=0, description="budget: hours on the clock, of each session of the study")
    hours: Float | None = Field(
        None,
        gt=0,
        description="budget: hours on the clock, of each session with its final stage, which is cut to fit (`--hours`)",
    )
    max_gpu_hours: Float | None = Field(None, gt=0, description="budget: hours of GPUs held by trials")
    patience: Int | None = Field(
        None, ge=1, description="budget: end after this many trials in a row without a better score"
    )
    min_improvement: Float = Field(0.0, ge=0, description="patience: how much better counts as better")
    finalists: Int = Field(
        3,
        ge=0,
        description="best configurations (`search.finalists_per`) that are trained anew, beside their supervised "
        "baselines (`search.supervised`), to choose the winner; 0: no final stage",
    )
    finalists_per: Literal["study", "backbone"] = Field(
        "study",
        description="study: the best configurations of all trials; backbone: so many of each backbone, to compare "
        "backbones that were each tuned",
    )
    supervised: Literal["tuned", "inherited", "none"] = Field(
        "tuned",
        description="supervised baselines of the finalists. tuned: as many learning rates are tried for one as its "
        "backbone had complete trials, if the space searches `optim.lr`; inherited: the finalist's, with which one may "
        "look worse than it is; none: there are no baselines",
    )
    final_seeds: Int = Field(
        5,
        ge=2,
        description="fresh seeds that each arm is trained with; the cost grows with them. 5 see differences a "
        "fifth smaller than 3 do, 10 another fifth for twice the cost (docs/claims.md)",
    )
    rotate: bool = Field(
        False,
        description="final stage: each arm is trained from each seed once for every value of `data.hold_out`, which is "
        "then held out instead of `data.held_out`; the cost grows with them",
    )
    margin: Float = Field(
        0.01, gt=0, lt=1, description="final stage: arms whose expected scores differ by less are equivalent"
    )

    @field_validator("objectives", mode="before")
    @classmethod
    def _speed_is_no_objective(cls, value: Any) -> Any:
        if isinstance(value, list) and "images_per_s" in value:
            raise ValueError(
                "cannot hold images_per_s, which depends on what runs beside a trial; take flops instead: speeds are "
                "measured at the end, and are in the leaderboard"
            )
        return value

    @field_validator("objectives")
    @classmethod
    def _promotion_compares_scores(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if len(value) > 1 and info.data.get("scheduler") == "promotion":
            raise ValueError(
                "must be one where `search.scheduler` is promotion: Optuna keeps a trial's scores by epoch for one "
                "objective only"
            )
        return value
