"""Rules between the search settings and the space, before anything starts. Imports neither torch nor Ray."""

from __future__ import annotations

from dataclasses import replace

from lssat.config import Config
from lssat.errors import ConfigError
from search.space import drawable, epochs
from search.space.definition import Space

MOST_POINTS = 10_000
"""Of a grid."""


def checked(space: Space) -> Space:
    """The space; that of a grid has its number of points as number of trials.

    Raises ConfigError for settings that contradict each other or that nothing would come of.
    """
    config = space.example()
    _check_names(space)
    _check_objectives(space, config)
    _check_rotation(space, config)
    _check_budgets(space, config)
    _check_stopping(space, config)
    if space.search.sampler == "grid":
        return _as_long_as_its_grid(space)
    _check_sampler(space)
    return space


def _check_names(space: Space) -> None:
    """Refuse a family or a size beside names that always stand instead of them."""
    names = [parameter for parameter in space.parameters if parameter.key == "backbone.name"]
    replaced = [key for key in space.searched_keys if key in ("backbone.family", "backbone.size")]
    may_be_unnamed = any(parameter.when or None in parameter.choices for parameter in names)
    if names and replaced and not may_be_unnamed:
        raise ConfigError(
            f"`backbone.name` stands instead of family and size, so `{replaced[0]}` decides nothing; delete one "
            f"({space.locations[replaced[0]]})"
        )


def _check_objectives(space: Space, config: Config) -> None:
    objectives = space.search.objectives
    at = _at(space, "objectives")
    if objectives[:1] != ["score"]:
        raise ConfigError(
            "`search.objectives` must begin with score, which the scheduler and the leaderboard work on, but got "
            f"{objectives}{at}"
        )
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"`search.objectives` names one twice: {objectives}; delete it{at}")
    if "gap" in objectives and not config.objective.subgroups:
        raise ConfigError(
            "the objective gap needs `objective.subgroups`, the columns that tell groups apart; name them, or delete "
            f"gap{at}"
        )


def _check_rotation(space: Space, config: Config) -> None:
    if space.search.rotate and config.data.hold_out is None:
        raise ConfigError(
            "`search.rotate` holds out one value of a column after the other; name the column by `data.hold_out`, and "
            f"by `data.held_out` what the search holds out{_at(space, 'rotate')}"
        )
    if space.search.rotate and not space.search.finalists:
        raise ConfigError(
            "`search.rotate` is about the final stage, but there is none, as `search.finalists` is 0; raise it, or "
            f"delete `search.rotate`{_at(space, 'rotate')}"
        )
    if config.objective.over and not space.search.rotate:
        at = space.locations.get("objective.over")
        raise ConfigError(
            f"`objective.over` {config.objective.over} is over the held-out values of `search.rotate`; set that to "
            f"true, or delete it{f' ({at})' if at else ''}"
        )


def _check_budgets(space: Space, config: Config) -> None:
    search = space.search
    least = (
        epochs.first_complete(search, config.optim.epochs) if search.scheduler == "promotion" else config.optim.epochs
    )
    if search.max_epochs is not None and search.max_epochs < least:
        raise ConfigError(
            f"`search.max_epochs` must hold at least one trial of `optim.epochs` {config.optim.epochs}, which takes "
            f"{least} epochs of all trials, but got {search.max_epochs}; raise it{_at(space, 'max_epochs')}"
        )
    if search.patience is not None and search.scheduler == "promotion":
        raise ConfigError(
            "`search.patience` counts trials that have ended, but under promotion most pause; take "
            f"`search.max_epochs`, or asha{_at(space, 'patience')}"
        )
    if search.max_gpu_hours is not None and not any(demand.gpus_per_worker for demand in drawable.demands(space)):
        raise ConfigError(
            "`search.max_gpu_hours` needs trials that hold GPUs; set `resources.gpus_per_worker`, or take "
            f"`search.max_hours`{_at(space, 'max_gpu_hours')}"
        )
    if search.min_improvement and search.patience is None:
        raise ConfigError(
            "`search.min_improvement` says what counts as better for `search.patience`; set that too"
            + _at(space, "min_improvement")
        )


def _check_stopping(space: Space, config: Config) -> None:
    search = space.search
    # A short try of a long space, with few epochs from the command line, is no contradiction.
    is_short_try = space.locations.get("optim.epochs") == "--set"
    is_meant = _is_written(space, "grace_epochs") and not is_short_try
    if search.scheduler != "none" and is_meant and search.grace_epochs >= config.optim.epochs:
        raise ConfigError(
            f"`search.grace_epochs` must be less than `optim.epochs` {config.optim.epochs}, or no trial is ever "
            f"stopped, but got {search.grace_epochs}; lower it, or take `search.scheduler` none"
            + _at(space, "grace_epochs")
        )


def _check_sampler(space: Space) -> None:
    search = space.search
    if search.sampler == "nsga2" and search.startup_trials < 2:
        raise ConfigError(
            "`search.startup_trials` is the population of nsga2, so it must be at least 2, but got 1"
            + _at(space, "startup_trials")
        )
    # Here a short try has few trials from the command line.
    is_short_try = space.locations.get("search.num_trials") == "command line"
    is_meant = _is_written(space, "startup_trials") and _is_written(space, "num_trials") and not is_short_try
    if search.sampler != "random" and is_meant and search.startup_trials > search.num_trials:
        raise ConfigError(
            f"`search.startup_trials` must be at most `search.num_trials` {search.num_trials}, or all trials are "
            f"random, but got {search.startup_trials}; lower it{_at(space, 'startup_trials')}"
        )
    if search.sampler == "gp" and search.scheduler != "none":
        raise ConfigError(
            "`search.sampler` gp learns from trials alone that had the full budget, so none may be stopped, but "
            f"`search.scheduler` is {search.scheduler}; take none, or tpe{_at(space, 'sampler')}"
        )
    if search.sampler in ("gp", "nsga2"):
        for parameter in space.parameters:
            if decides := sorted(space.reads(parameter) & set(space.searched_keys)):
                raise ConfigError(
                    f"`search.sampler` {search.sampler} models only keys that every trial has and draws the others at "
                    f"random, but `{parameter.key}` depends on `{decides[0]}`; take tpe, or fix one of them"
                    + _at(space, "sampler")
                )


def _as_long_as_its_grid(space: Space) -> Space:
    if _is_written(space, "num_trials"):
        at = _at(space, "num_trials")
        raise ConfigError(
            f"a grid tries every point, so it takes no `num_trials`; leave it out, or take `search.sampler` random{at}"
        )
    for parameter in space.parameters:
        if not parameter.choices and parameter.step is None and isinstance(parameter.low, float):
            at = f" ({space.locations[parameter.key]})"
            raise ConfigError(
                f"a grid needs choices, or a `step`, for `{parameter.key}`; give one, or take `search.sampler` tpe{at}"
            )
    points = space.num_points(MOST_POINTS)
    if points > MOST_POINTS:
        raise ConfigError(
            f"a grid has at most {MOST_POINTS} points, but this one has more; search fewer values, or take "
            f"`search.sampler` tpe{_at(space, 'sampler')}"
        )
    return replace(space, search=space.search.model_copy(update={"num_trials": points}))


def _is_written(space: Space, key: str) -> bool:
    """Whether a setting of the search stands in the file or on the command line. A recorded study has values for all of
    them, so that a space which is made of its manifest is not asked why.
    """
    return f"search.{key}" in space.locations


def _at(space: Space, key: str) -> str:
    return f" ({space.locations[f'search.{key}']})" if _is_written(space, key) else ""
