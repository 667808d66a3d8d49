"""What a study will take, before anything is launched: trials, epochs, memory, time and disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lssat.command import Notify
from lssat.errors import ConfigError
from search.earlier.words import taken
from search.plan.backbone_estimates import BackboneEstimate, estimate_backbones
from search.plan.data import DataEstimate
from search.plan.hours import FinalStage, what_fits
from search.plan.machine import Machine
from search.plan.seen import what_is_seen
from search.space import drawable, epochs
from search.space.definition import Parameter, Space
from search.space.epochs import Span
from search.strategy.baselines import num_rates

MOST_POINTS = 100_000
"""That are counted."""
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True)
class Plan:
    """Estimates of a whole study.

    `space`: each searched key with its choices or range. `points`: how many points the space has, in words. `seconds`
    is None where nothing can run here. `disk`: bytes. `fits`: what there is time for in `--hours`. `baseline_epochs`:
    in which learning rates of supervised baselines are tried. `seen`: which difference the final stage can see.
    `earlier`: what is taken over of each earlier study.
    """

    profile: str
    space: tuple[tuple[str, str], ...]
    points: str
    trials: int
    epochs_per_trial: int
    search_epochs: Span
    baseline_epochs: Span
    final_epochs: int
    data: DataEstimate
    backbones: tuple[BackboneEstimate, ...]
    seconds: Span | None
    disk: int
    fits: str = ""
    seen: str = ""
    earlier: tuple[str, ...] = ()

    @property
    def epochs(self) -> Span:
        """Epochs of all stages together."""
        return self.search_epochs.plus(self.baseline_epochs).plus(self.final_epochs)

    def to_json(self) -> dict[str, Any]:
        """All of it, to be compared with the finished study."""
        return {**asdict(self), "epochs": asdict(self.epochs)}


def make_plan(space: Space, data: DataEstimate, machine: Machine, seconds: float, notify: Notify) -> Plan:
    """The plan of a space; `seconds` is what measuring its smallest and largest backbone may take in all. Raises
    ConfigError.
    """
    config_of = drawable.architectures(space)
    example = next(iter(config_of.values()))
    backbones = estimate_backbones(list(config_of.values()), data, machine, seconds, notify)
    search_epochs = epochs.searched(space.search, example.optim.epochs)
    baseline_epochs = epochs.baselines(space.search, example.optim.epochs, len(config_of), num_rates(space))
    final_epochs = epochs.final(space.search, example.optim.epochs, len(config_of), data.folds)
    after_search = baseline_epochs.plus(final_epochs)
    per_epoch = _seconds_per_epoch(space, backbones)
    hours = space.search.hours
    return Plan(
        profile=space.profile,
        space=tuple((parameter.key, describe(parameter)) for parameter in space.parameters),
        points=_points(space),
        trials=space.search.num_trials,
        epochs_per_trial=example.optim.epochs,
        search_epochs=search_epochs,
        baseline_epochs=baseline_epochs,
        final_epochs=final_epochs,
        data=data,
        backbones=backbones,
        seconds=None if per_epoch is None else _seconds(space, per_epoch, search_epochs, after_search),
        disk=_disk(space, after_search.expected / example.optim.epochs, backbones, data),
        fits=what_fits(
            space.search,
            example.optim.epochs,
            per_epoch,
            FinalStage(len(config_of), baseline_epochs.expected, data.folds),
        )
        if hours and per_epoch
        else "",
        earlier=tuple(map(taken, space.earlier)),
        seen=what_is_seen(space.search, data.scored, data.spread, len(config_of), data.folds),
    )


def describe(parameter: Parameter) -> str:
    """`a, b` or `1 to 2 (logarithmic)`, and under which condition."""
    if parameter.choices:
        text = ", ".join(map(str, parameter.choices))
    else:
        scale = " (logarithmic)" if parameter.log else f" in steps of {parameter.step:g}" if parameter.step else ""
        text = f"{parameter.low:g} to {parameter.high:g}{scale}"
    conditions = " and ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in parameter.when.items())
    return text + (f", where {conditions}" if conditions else "")


def _points(space: Space) -> str:
    try:
        number = space.num_points(MOST_POINTS)
    except ConfigError:  # a range without a step
        return "continuous"
    return f"{number:,}" if number <= MOST_POINTS else f"more than {MOST_POINTS:,}"


def _seconds_per_epoch(space: Space, backbones: tuple[BackboneEstimate, ...]) -> float | None:
    """On the clock, if every backbone that can run is drawn equally often, with all trials side by side that there is
    room for; None where none can run.
    """
    timed = [(b.seconds_per_epoch, b.num_concurrent) for b in backbones if b.seconds_per_epoch is not None]
    if not timed:
        return None
    limit = space.search.max_concurrent
    return sum(seconds / min(room, limit or room) for seconds, room in timed) / len(timed)


def _seconds(space: Space, per_epoch: float, search_epochs: Span, after_search: Span) -> Span:
    most_of_search = space.search.max_hours
    searching = search_epochs.times(per_epoch).at_most(most_of_search and most_of_search * 3600)
    most = space.search.hours
    return searching.plus(after_search.times(per_epoch)).at_most(most and most * 3600)


def _disk(space: Space, num_later: float, backbones: tuple[BackboneEstimate, ...], data: DataEstimate) -> int:
    """Bytes when most is there: the best weights of every run, three times as much for those under way (weights and
    AdamW's moments), the data. `num_later`: runs after the search.
    """
    sizes = [backbone.num_parameters * BYTES_PER_WEIGHT for backbone in backbones]
    num_concurrent = space.search.max_concurrent or max(1, *(backbone.num_concurrent for backbone in backbones), 1)
    num_running = min(space.search.num_trials, num_concurrent)
    num_copies = 4 if space.example().optim.ema_decay else 3
    return int(
        (space.search.num_trials + num_later) * sum(sizes) / len(sizes)
        + num_running * num_copies * max(sizes)
        + data.num_bytes
    )
