"""Records of trials -> ranked rows -> CSV and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lssat.config import Config
from lssat.files import write_text
from lssat.model import catalog
from lssat.settings.texture import TextureConfig
from lssat.text.markdown import markdown_table
from search.findings.csv_files import write_csv
from search.record.folder import RunFolder, Stage
from search.record.manifest import objectives_of, searched_keys_of
from search.record.speeds import network_of, read_speeds
from search.record.trials import Outcome, Status, TrialRecord
from search.strategy.objectives import front

INTERRUPTED = Outcome(Status.RUNNING, "interrupted or paused; `--resume` goes on")


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard. `score`: the best on validation; `test`: the same metric on the test split, of the
    weights that have that score, where they were tested (those of a final stage are in its own table).

    `in_domain`: the score of the same weights on rows without a held-out value, where values are held out.
    `pareto`: of several objectives, no other trial is at least as good in all and better in one. `gap`: between
    subgroups, where there are any. `learning`: the share of the network's parameters that learn (`optim.tune`).
    `flops`: operations to classify one image. `images_per_s`: that the network classified on the machine where the
    study ended, if it was measured. `pretrained`: no, hub, or the name of a file or of a folder of files; compare rows
    of one kind, since pretrained weights have seen other images. `searched`: each key that the study searches, None
    where the trial did not draw it.
    """

    rank: int
    trial: str
    family: str
    size: str
    backbone: str
    pretrained: str
    streams: str
    encoding: str
    aux_weight: float
    mask_ratio: str
    score: float | None
    gap: float | None
    in_domain: float | None
    pareto: bool
    test: float | None
    epochs: int
    parameters: int | None
    learning: float | None
    flops: int | None
    images_per_s: float | None
    status: Status
    reason: str
    config_hash: str
    seed: int
    searched: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> dict[str, Any]:
        """All of it by the names of the leaderboard's columns. A searched key that is a column already is not another
        one.
        """
        return {**self.searched, **{name: getattr(self, name) for name in COLUMNS}}


COLUMNS = tuple(each.name for each in fields(Row) if each.name != "searched")


def columns(rows: Sequence[Row]) -> list[str]:
    """The columns of a leaderboard: those of every study, then the keys that this one searches."""
    return list(dict.fromkeys([*COLUMNS, *(rows[0].searched if rows else ())]))


def of_folder(folder: RunFolder) -> list[Row]:
    """All trials of a study, ranked."""
    records = folder.records(Stage.SEARCH)
    return with_speeds(rank(records, objectives_of(folder), searched_keys_of(folder)), folder)


def rank(records: Sequence[TrialRecord], objectives: Sequence[str], searched: Sequence[str] = ()) -> list[Row]:
    """Trials with the full budget come first: one that was stopped early ranks below them and cannot win. Of several
    objectives, those come first among them that are on the Pareto front. `searched`: keys that the rows shall name.
    """
    rows = [replace(_row(record), searched={key: record.sampled.get(key) for key in searched}) for record in records]
    if len(objectives) > 1:
        complete = [row for row in rows if row.status == Status.COMPLETE]
        on_front = front(objectives, [[getattr(row, name) for name in objectives] for row in complete])
        best = {row.trial for row, is_best in zip(complete, on_front, strict=True) if is_best}
        rows = [replace(row, pareto=row.trial in best) for row in rows]
    rows.sort(key=_order)
    return [replace(row, rank=index + 1) for index, row in enumerate(rows)]


def winner(rows: Sequence[Row]) -> Row | None:
    """The trial with the full budget that is best on validation."""
    return max((row for row in rows if row.status == Status.COMPLETE), key=lambda row: row.score or 0, default=None)


def with_test(rows: Sequence[Row], scores: Mapping[str, float]) -> list[Row]:
    """The scores that runs got on test, by their names, in the rows of those that are trials; the order stays."""
    return [replace(row, test=scores[row.trial]) if row.trial in scores else row for row in rows]


def with_speeds(rows: Sequence[Row], folder: RunFolder) -> list[Row]:
    """The speed of each trial's network in its row, where it was measured."""
    speeds = read_speeds(folder)
    if not speeds:
        return list(rows)
    networks = (network_of(folder.record(Stage.SEARCH, row.trial)) for row in rows)
    return [replace(row, images_per_s=speeds.get(network)) for row, network in zip(rows, networks, strict=True)]


def write(rows: Sequence[Row], folder: RunFolder) -> None:
    """The leaderboard of a run folder, as CSV and as Markdown."""
    header, lines = columns(rows), [row.cells() for row in rows]
    write_csv(folder.leaderboard, header, lines)
    cells = [[shown(line[name]) for name in header] for line in lines]
    write_text(folder.leaderboard_page, markdown_table(header, cells))


def streams_of(config: Config) -> str:
    """The triple M/R/C, or the classified stream alone where there is no auxiliary task."""
    return config.streams if config.trains_auxiliary else f"none/C{config.classified_stream}"


def shown(value: Any) -> str:
    """A value as a cell of a table."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _order(row: Row) -> tuple[Any, ...]:
    score = row.score if row.score is not None else -1
    longest_first = -row.epochs if row.status == Status.STOPPED else 0
    return list(Status).index(row.status), not row.pareto, longest_first, -score, row.trial


def _row(record: TrialRecord) -> Row:
    config, last, outcome = record.config, record.last, record.outcome or INTERRUPTED
    auxiliary, named = config.trains_auxiliary, config.backbone.name is not None
    return Row(
        rank=0,
        trial=record.name,
        family="-" if named else config.backbone.family,
        size="-" if named else config.backbone.size,
        backbone=catalog.architecture(config.backbone),
        pretrained=_origin(config.backbone.pretrained),
        streams=streams_of(config),
        encoding=_encoding(config) if auxiliary else "-",
        aux_weight=config.aux_weight if auxiliary else 0.0,
        mask_ratio=_mask_ratio(config) if auxiliary else "-",
        score=last.best if last else None,
        gap=last.best_gap if last else None,
        in_domain=last.best_in_domain if last else None,
        pareto=False,
        test=None,
        epochs=record.num_epochs,
        parameters=last.parameters if last else None,
        learning=last.learning / last.parameters if last and last.learning is not None else None,
        flops=last.flops if last else None,
        images_per_s=None,
        status=outcome.status,
        reason=outcome.reason,
        config_hash=config.hash(),
        seed=config.seed,
    )


def _mask_ratio(config: Config) -> str:
    """The hidden share of patches and what else of the masked pass is not the default: `0.50 sparse`."""
    ratio = "auto" if config.masking.ratio is None else f"{config.masking.ratio:.2f}"
    sparse = " sparse" if config.masking.mode == "sparse" else ""
    some = f" of {config.masking.share:g} of rows" if config.masking.share < 1 else ""
    return f"{ratio}{sparse}{some}"


def _encoding(config: Config) -> str:
    """The target's encoding and what of it and of its texture is not the default: `scaled`, `histogram uniform P16 R2`,
    `bits signed + 0.3 RGB`.
    """
    target, texture, usual = config.target, config.texture, TextureConfig()
    parts: list[str] = [target.encoding]
    if target.norm_pix:
        parts.append("norm_pix")
    if "LBP" in config.streams:
        if texture.lbp_method != usual.lbp_method:
            parts.append(texture.lbp_method)
        if (texture.lbp_points, texture.lbp_radius) != (usual.lbp_points, usual.lbp_radius):
            parts.append(f"P{texture.lbp_points} R{texture.lbp_radius:g}")
    if "LDP" in config.streams:
        if texture.ldp_k != usual.ldp_k:
            parts.append(f"k{texture.ldp_k}")
        if texture.ldp_signed:
            parts.append("signed")
    if target.rgb_weight:
        parts.append(f"+ {target.rgb_weight:g} RGB")
    return " ".join(parts)


def _origin(pretrained: bool | str) -> str:
    """Where a backbone's first weights came from: `no` (drawn), `hub`, the name of a file, or that of a folder with a
    slash, whose file for this backbone the manifest names.
    """
    if isinstance(pretrained, str):
        return Path(pretrained).name + ("/" if pretrained.endswith("/") else "")
    return "hub" if pretrained else "no"
