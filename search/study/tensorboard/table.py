"""The table of TensorBoard's tab HPARAMS: a row for each run that is over, one set of columns for the whole study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import (
    Discrete,
    Domain,
    HParam,
    Metric,
    RealInterval,
    hparams_config_pb,
    hparams_pb,
)

from lssat.config import Config
from lssat.model import catalog
from lssat.train.result import BEST_IN_DOMAIN
from search.findings.leaderboard import streams_of
from search.record.folder import Stage
from search.record.trials import Status, TrialRecord
from search.space.definition import Space, is_read_without_auxiliary
from search.space.drawable import architectures
from search.study.tensorboard.parts import BEST_GAP_TAG, BEST_TAG, TOTAL, tag

BACKBONE, STAGE, STATUS = "backbone", "stage", "status"
SAID_BY_BACKBONE = ("backbone.family", "backbone.size", "backbone.name")
"""Keys that the name of the backbone says already: they come last, since the first five are shown unasked."""
OVER = [status.value for status in Status if status != Status.RUNNING]


@dataclass(frozen=True)
class Column:
    """`position`: TensorBoard sorts columns by an inner name, which people never see."""

    position: int
    key: str
    domain: Domain

    @property
    def name(self) -> str:
        """The inner name."""
        return f"{self.position:02} {self.key}"

    def value(self, value: Any) -> Any:
        """A value as all values of the column are written: a number, yes or no, or a word."""
        return self.domain.dtype(value)


@dataclass(frozen=True)
class Table:
    """Written with each row, since TensorBoard takes the columns that the first run it finds has: so they are of the
    study, never of one run, which lacks the keys of other backbones.
    """

    columns: Sequence[Column]

    def experiment(self, config: Config) -> Any:
        """The columns: settings, then what came of them."""
        metrics = {BEST_TAG: "val/best"}
        metrics |= {f"{TOTAL}/{name}": name for name in ("epochs", "parameters", "seconds")}
        if config.objective.subgroups:
            metrics[BEST_GAP_TAG] = "val/best_gap"
        if config.data.hold_out:
            metrics[tag(BEST_IN_DOMAIN)] = BEST_IN_DOMAIN
        return hparams_config_pb(
            [HParam(column.name, column.domain, column.key) for column in self.columns],
            [Metric(tag, display_name=name) for tag, name in metrics.items()],
        )

    def row(self, stage: Stage, record: TrialRecord) -> Any:
        """The settings of a run that is over, and how it stands. Its name is short: few letters of it are shown."""
        searched = [column.key for column in self.columns]
        shown = shown_settings(record.sampled, record.config, searched)
        shown |= {STAGE: stage.name.lower(), STATUS: record.status.value}
        values = {column.name: column.value(shown[column.key]) for column in self.columns if column.key in shown}
        return hparams_pb(values, f"{stage.name.lower()}/{record.name}", record.span[0] if record.span else None)


def table_of(space: Space) -> Table:
    """The columns of a study: the backbone, the searched keys in the order of the space, stage and status."""
    domains: dict[str, Domain] = {BACKBONE: Discrete(sorted(architectures(space)))}
    domains |= {key: _domain(space, key) for key in space.searched_keys if key not in SAID_BY_BACKBONE}
    domains |= {STAGE: Discrete([stage.name.lower() for stage in Stage]), STATUS: Discrete(OVER)}
    domains |= {key: _domain(space, key) for key in space.searched_keys if key in SAID_BY_BACKBONE}
    return Table([Column(position, key, domain) for position, (key, domain) in enumerate(domains.items())])


def session_end(status: Status, seconds_since_1970: float | None) -> Any:
    """What TensorBoard's own boxes `Success` and `Failure` choose by."""
    has_failed = status in (Status.FAILED, Status.INFEASIBLE)
    end = plugin_data_pb2.SessionEndInfo(
        status=api_pb2.STATUS_FAILURE if has_failed else api_pb2.STATUS_SUCCESS,
        end_time_secs=seconds_since_1970 or 0.0,
    )
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def shown_settings(sampled: Mapping[str, Any], config: Config, searched: Sequence[str]) -> dict[str, Any]:
    """The backbone, and the searched settings that a run trains with: without an auxiliary task none of that task."""
    settings = config.flat()
    found = {key: settings[key] for key in searched if key in sampled}
    if not config.trains_auxiliary:
        instead = {"aux_weight": 0.0, "streams": streams_of(config)}
        read = {key: value for key, value in found.items() if is_read_without_auxiliary(key, config.streams)}
        found = read | {key: value for key, value in instead.items() if key in searched}
    return {BACKBONE: catalog.architecture(config.backbone), **found}


def _domain(space: Space, key: str) -> Domain:
    """All that a key can be in a run, a supervised baseline among them."""
    parameters = [parameter for parameter in space.parameters if parameter.key == key]
    choices = {choice for parameter in parameters for choice in parameter.choices}
    ends = {end for parameter in parameters if not parameter.choices for end in (parameter.low, parameter.high)}
    values = choices | ends
    if key == "aux_weight":
        values.add(0.0)
    if key == "streams":
        values |= {f"none/{triple.rpartition('/')[2]}" for triple in choices}
    if all(isinstance(value, bool) for value in values):
        return Discrete(sorted(values))
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return Discrete(sorted(map(str, values)))
    numbers = sorted(map(float, values))
    return RealInterval(numbers[0], numbers[-1]) if ends else Discrete(numbers)
