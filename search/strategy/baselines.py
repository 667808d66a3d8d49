"""Supervised baselines with a learning rate of their own, tried as often as their finalist's backbone was.

A finalist's rate was tuned for the joint objective. A baseline that inherits it would look worse than the network can
be without the auxiliary task, and the auxiliary task better than it is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lssat.config import Config
from lssat.model import catalog
from search.record.folder import RunFolder, Stage
from search.record.trials import Status, TrialRecord
from search.space.definition import Parameter, Space, defaults
from search.space.settings import SearchConfig
from search.strategy.finalists import SUPERVISED, Arm, arm_and_seed
from search.strategy.suggestion import Suggestion

LR = "optim.lr"
HOLD_OUT = ("data.hold_out", "data.held_out")
SAME = 1e-9
"""Rates nearer to each other, or logarithms of rates, differ by rounding."""


@dataclass(frozen=True)
class Tried:
    """A learning rate that a baseline was tried with, here or in the search; it counts there, whatever became of it."""

    rate: float
    record: TrialRecord
    is_of_search: bool

    @property
    def score(self) -> float:
        """The best on validation; below all others where the run did not reach its last epoch."""
        last = self.record.last if self.record.status == Status.COMPLETE else None
        return last.best if last and math.isfinite(last.best) else -math.inf


class Baselines:
    """The supervised baselines of a study's finalists, from what is on record of it.

    A baseline that has run in the final stage stays that of its recipe, with its rate: its runs are compared with those
    of later sessions.
    """

    def __init__(self, folder: RunFolder, search: SearchConfig) -> None:
        self._kind = search.supervised
        searched = [record for record in folder.records(Stage.SEARCH) if record.status == Status.COMPLETE]
        self._num_complete = Counter(_backbone(record.config) for record in searched)
        self._tried: dict[str, list[Tried]] = defaultdict(list)  # by recipe
        for record in searched:
            if not record.config.trains_auxiliary:
                self._tried[recipe_of(record)].append(Tried(record.config.optim.lr, record, is_of_search=True))
        for record in folder.records(Stage.BASELINE):
            self._tried[recipe_of(record)].append(Tried(record.config.optim.lr, record, is_of_search=False))
        self._kept: dict[str, tuple[str, float]] = {}  # by name of an arm, and by recipe: name and rate
        for record in folder.records(Stage.FINAL):
            name, _ = arm_and_seed(record.name)
            if f"-{SUPERVISED}" in name:
                for key in (name, recipe_of(record)):
                    self._kept.setdefault(key, (name, record.config.optim.lr))

    def of(self, finalist: Arm) -> Arm:
        """The baseline of a finalist with the best learning rate so far; the finalist itself, where it is supervised or
        no baselines are wanted.

        It inherits the finalist's rate where that was not tried: nothing is tuned, or nothing was yet.
        """
        if not finalist.config.trains_auxiliary or self._kind == "none":
            return finalist
        if kept := self._kept_of(finalist):
            name, rate = kept
            return replace(_with_rate(finalist.baseline, rate), name=name)
        tried, own = self.tried(finalist), finalist.config.optim.lr
        if self._kind != "tuned" or own not in {each.rate for each in tried}:
            return finalist.baseline
        best = max(tried, key=lambda each: (each.score, -each.rate))
        return _with_rate(finalist.baseline, best.rate if math.isfinite(best.score) else own)

    def tried(self, finalist: Arm) -> list[Tried]:
        """What the baseline of a finalist was tried with."""
        return self._tried.get(_recipe(finalist), [])

    def runs(self, finalists: Sequence[Arm], space: Space) -> list[Suggestion]:
        """What is trained to find the rates of these finalists' baselines, those of earlier sessions included: each
        finalist's own rate, then others of the space. Finalists of one backbone and recipe share it.
        """
        groups: dict[str, list[Arm]] = defaultdict(list)
        for finalist in finalists:
            if self._kind == "tuned" and finalist.config.trains_auxiliary and not self._kept_of(finalist):
                groups[_recipe(finalist)].append(finalist)
        return [run for group in groups.values() for run in self._runs_of(group, space)]

    def lines(self, finalists: Sequence[Arm], space: Space) -> list[str]:
        """What is said of the baselines' rates."""
        joint = [finalist for finalist in finalists if finalist.config.trains_auxiliary and self._kind != "none"]
        if joint and self._kind == "inherited":
            return ["supervised baselines inherit their finalists' learning rates (`search.supervised`)"]
        if joint and rate_parameter(joint[0], space) is None:
            return ["supervised baselines inherit their finalists' learning rates: the space pins `optim.lr`"]
        return [self._line(finalist) for finalist in joint]

    def _line(self, finalist: Arm) -> str:
        rate, own = self.of(finalist).config.optim.lr, finalist.config.optim.lr
        num_tried = len({each.rate for each in self.tried(finalist)})
        if self._kept_of(finalist):
            how = "with which it has run in the final stage"
        elif num_tried > 1:
            how = f"the best of {num_tried} on validation (its own: {own:.3g})"
        else:
            how = "its own: one complete trial of the backbone, or one rate, leaves none to try"
        return f"baseline of {finalist.name}: learning rate {rate:.3g}, {how}"

    def _runs_of(self, finalists: Sequence[Arm], space: Space) -> list[Suggestion]:
        parameter = rate_parameter(finalists[0], space)
        if parameter is None:
            return []
        baseline, tried = finalists[0].baseline, self.tried(finalists[0])
        known = list(dict.fromkeys(each.rate for each in tried))
        own = list(dict.fromkeys(arm.config.optim.lr for arm in finalists if arm.config.optim.lr not in known))
        number = self._num_complete[_backbone(baseline.config)]
        rates = own + more_rates(parameter, number, known + own)
        if len(known) + len(rates) < 2:  # there is nothing to choose
            return []
        begun = [Suggestion(each.record.name, each.record.sampled) for each in tried if not each.is_of_search]
        return begun + [Suggestion(f"{baseline.name}-lr{rate:.6g}", {**baseline.sampled, LR: rate}) for rate in rates]

    def _kept_of(self, finalist: Arm) -> tuple[str, float] | None:
        by_recipe = self._kept.get(_recipe(finalist)) if self._kind == "tuned" else None
        return self._kept.get(finalist.baseline.name, by_recipe)


def recipe_of(record: TrialRecord) -> str:
    """See `_recipe`."""
    return _recipe(Arm(record.name, record.sampled))


def rate_parameter(finalist: Arm, space: Space) -> Parameter | None:
    """What the learning rate of a finalist's baseline is drawn from; None where the space pins it."""
    of_rates = [parameter for parameter in space.parameters if parameter.key == LR]
    for sampled in (finalist.baseline.sampled, finalist.sampled):  # it may be drawn for the auxiliary task alone
        resolved = {**defaults(), **sampled}
        if found := next((parameter for parameter in of_rates if parameter.applies(resolved)), None):
            return found
    return None


def num_rates(space: Space) -> float:
    """How many learning rates a baseline of this space can be tried with; 1 where none is tuned."""
    of_rates = [parameter for parameter in space.parameters if parameter.key == LR]
    has_auxiliary = space.fixed.get("auxiliary", True) and space.fixed.get("aux_weight", 1.0) > 0
    if not (space.search.supervised == "tuned" and of_rates and has_auxiliary):
        return 1
    return max(len(values) if (values := _values(each)) else math.inf for each in of_rates)


def more_rates(parameter: Parameter, number: int, known: Sequence[float]) -> list[float]:
    """Learning rates that make `number` together with the known ones, as far as the parameter has so many.

    One after the other that which lies farthest from all before it: of the values of a list, or of the middles of
    `number` equal parts of a range. So a session that goes on finds the same ones.
    """
    is_log = parameter.log or bool(parameter.choices)
    options = _values(parameter) or _middles(parameter, number)
    found: list[float] = []

    def distance(rate: float) -> float:
        taken = [*known, *found]
        return min((abs(math.log(rate / other)) if is_log else abs(rate - other) for other in taken), default=math.inf)

    while len(known) + len(found) < number:
        farthest = max(options, key=distance)
        if distance(farthest) < SAME:
            break
        found.append(farthest)
    return found


def _values(parameter: Parameter) -> list[float]:
    """Those of a list, or of a range with steps; none of one without."""
    if parameter.choices:
        return sorted(map(float, parameter.choices))
    if parameter.step is None:
        return []
    return [float(rate) for rate in np.arange(parameter.low, parameter.high + parameter.step / 2, parameter.step)]


def _middles(parameter: Parameter, number: int) -> list[float]:
    """Of equal parts of a range, on its scale, to three digits: they are read by people."""
    low, high = (math.log(end) if parameter.log else end for end in (parameter.low, parameter.high))
    middles = [low + (high - low) * (part + 0.5) / number for part in range(number)]
    return [float(f"{math.exp(middle) if parameter.log else middle:.3g}") for middle in middles]


def _recipe(arm: Arm) -> str:
    """Equal for arms whose supervised baselines differ in nothing but the learning rate, whatever they never see: that
    is the same in all of a study, but for the runs of a final stage that rotates it.
    """
    arm = replace(arm, sampled={key: value for key, value in arm.sampled.items() if key not in HOLD_OUT})
    return _with_rate(arm.baseline, float(defaults()[LR])).identity


def _with_rate(arm: Arm, rate: float) -> Arm:
    return arm if arm.config.optim.lr == rate else replace(arm, sampled={**arm.sampled, LR: rate})


def _backbone(config: Config) -> str:
    return catalog.architecture(config.backbone)
