"""Results on disk -> ranked rows -> table, CSV and Markdown. Reads only what the driver wrote."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lssat.config import Config, TargetConfig, build
from lssat.model import catalog
from search.strategy.objectives import front

SORTING = {"complete": 0, "stopped": 1, "running": 2, "infeasible": 3, "failed": 4}


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard. `score` is val/best; `test` the same metric on the test split, of what was chosen to
    be tested only.

    `pareto`: of several objectives, no other trial is at least as good in all and better in one; `gap`: between
    subgroups, where there are any.

    `pretrained`: no, hub or a file's name. Compare rows of one kind: where weights were pretrained, other images
    helped.
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
    pareto: bool
    test: float | None
    epochs: int
    parameters: int | None
    images_per_s: float | None
    status: str
    reason: str
    config_hash: str
    seed: int


def rank(folder: Path) -> list[Row]:
    """All trials of a study. Full-budget trials come first: an early-stopped one ranks below them and cannot win. Of
    several objectives, those come first among them that are on the front.
    """
    rows = [_row(path.parent) for path in sorted((folder / "trials").glob("*/config.json"))]
    names = objectives_of(folder)
    if len(names) > 1:
        complete = [row for row in rows if row.status == "complete"]
        on_front = front(names, [[getattr(row, name) for name in names] for row in complete])
        best = {row.trial for row, is_best in zip(complete, on_front, strict=True) if is_best}
        rows = [replace(row, pareto=row.trial in best) for row in rows]
    rows.sort(key=_order)
    return [replace(row, rank=index + 1) for index, row in enumerate(rows)]


def _order(row: Row) -> tuple[Any, ...]:
    score = row.score if row.score is not None else -1
    return SORTING[row.status], not row.pareto, -row.epochs if row.status == "stopped" else 0, -score, row.trial


def objectives_of(folder: Path) -> list[str]:
    """The objectives of the study in a run folder."""
    manifest = folder / "manifest.json"
    found = (
        json.loads(manifest.read_text())["resolved"]["space"]["search"].get("objectives") if manifest.exists() else None
    )
    return [str(name) for name in found or ["score"]]


def winner(rows: Sequence[Row]) -> Row | None:
    """The best full-budget trial on validation."""
    return max((row for row in rows if row.status == "complete"), key=lambda row: row.score or 0, default=None)


def with_test(rows: list[Row], scores: Mapping[str, float]) -> list[Row]:
    """Test scores, by trial, in the lines of the trials; the order stays."""
    return [replace(row, test=scores[row.trial]) if row.trial in scores else row for row in rows]


def metrics(trial_folder: Path) -> list[dict[str, Any]]:
    """What a trial reported, epoch by epoch; an epoch that was repeated after a kill counts once."""
    path = trial_folder / "metrics.jsonl"
    by_epoch: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # the line that a kill cut
            continue
        by_epoch[entry["epoch"]] = entry
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def write(rows: list[Row], folder: Path) -> None:
    """`leaderboard.csv` and `leaderboard.md`."""
    with (folder / "leaderboard.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    lines = ["| " + " | ".join(field.name for field in fields(Row)) + " |", "|" + " --- |" * len(fields(Row))]
    lines += [
        "| " + " | ".join(_shown(value).replace("|", "\\|") for value in asdict(row).values()) + " |" for row in rows
    ]
    (folder / "leaderboard.md").write_text("\n".join(lines) + "\n")


def _row(folder: Path) -> Row:
    written = json.loads((folder / "config.json").read_text())
    outcome_file = folder / "outcome.json"
    outcome = (
        json.loads(outcome_file.read_text())
        if outcome_file.exists()
        else {"status": "running", "reason": "interrupted or paused; `--resume` goes on"}
    )
    config = build(written["sampled"])
    reported = metrics(folder)
    last = reported[-1] if reported else {}
    ratio = "auto" if config.masking.ratio is None else f"{config.masking.ratio:.2f}"
    if config.masking.mode == "sparse":
        ratio += " sparse"
    architecture = catalog.architecture(config.backbone)
    return Row(
        rank=0,
        trial=folder.name,
        family=config.backbone.family if config.backbone.name is None else "-",
        size=config.backbone.size if config.backbone.name is None else "-",
        backbone=architecture,
        pretrained=_origin(config.backbone.pretrained),
        streams=streams(config),
        encoding=_encoding(config) if config.trains_auxiliary else "-",
        aux_weight=config.aux_weight if config.trains_auxiliary else 0.0,
        mask_ratio=ratio if config.trains_auxiliary else "-",
        score=last.get("val/best"),
        gap=last.get("val/best_gap"),
        pareto=False,
        test=None,
        epochs=last.get("epoch", 0),
        parameters=last.get("parameters"),
        images_per_s=round(last["train/images_per_s"], 1) if last else None,
        status=outcome["status"],
        reason=outcome["reason"],
        config_hash=written["hash"],
        seed=config.seed,
    )


def streams(config: Config) -> str:
    """The triple M/R/C, or the classified stream alone where there is no auxiliary task."""
    return config.streams if config.trains_auxiliary else f"none/{config.streams.split('/')[2]}"


def _encoding(config: Config) -> str:
    """The target's encoding and what of it is not the default: `scaled`, `histogram uniform P16 R2`, `bits signed + 0.3
    RGB`.
    """
    target, usual = config.target, TargetConfig()
    parts: list[str] = [target.encoding]
    if target.norm_pix:
        parts.append("norm_pix")
    if "LBP" in config.streams:
        if target.lbp_method != usual.lbp_method:
            parts.append(target.lbp_method)
        if (target.lbp_points, target.lbp_radius) != (usual.lbp_points, usual.lbp_radius):
            parts.append(f"P{target.lbp_points} R{target.lbp_radius:g}")
    if "LDP" in config.streams:
        if target.ldp_k != usual.ldp_k:
            parts.append(f"k{target.ldp_k}")
        if target.ldp_signed:
            parts.append("signed")
    if target.rgb_weight:
        parts.append(f"+ {target.rgb_weight:g} RGB")
    return " ".join(parts)


def _origin(pretrained: bool | str) -> str:
    """Where a backbone's first weights came from: `no` (drawn), `hub` or the name of a file."""
    if isinstance(pretrained, str):
        return Path(pretrained).name
    return "hub" if pretrained else "no"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
