"""The final stage: the best configurations and their supervised twins, trained anew over fresh seeds at full budget, so
that luck does not win.

The search has looked at many scores and kept the highest, so those of its best trials are too high. Only the scores of
the final stage are compared.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lssat.config import build
from lssat.model import catalog
from search.claims.paired import Arm, compare, interval
from search.report import leaderboard
from search.space.definition import AUXILIARY
from search.space.settings import SearchConfig

SUPERVISED = "supervised"
COLUMNS = (
    "configuration",
    "backbone",
    "streams",
    "aux weight",
    "seeds",
    "val",
    "to the winner",
    "",
    "to its supervised twin",
    "test",
)


@dataclass(frozen=True)
class Final:
    """One run of the final stage: the configuration of trial `of`, or its supervised twin, with a fresh seed."""

    name: str
    of: str
    seed: int
    sampled: Mapping[str, Any]

    @property
    def arm(self) -> str:
        """What is compared: the runs that differ in nothing but their seed."""
        return self.name.rpartition("-seed")[0]


@dataclass(frozen=True)
class Standing:
    """One line of the final table; scores are of val/best, over seeds. `difference` is to the winner, paired by seed,
    with its 95% half-width.

    `over_supervised`: to the twin without the auxiliary task. `test`: filled in when the choice is fixed.
    """

    arm: str
    backbone: str
    streams: str
    aux_weight: float
    parameters: int | None
    seeds: int
    failed: int
    mean: float
    half: float
    difference: float
    difference_half: float
    verdict: str
    over_supervised: float | None
    over_supervised_half: float | None
    test: float | None = None
    test_half: float | None = None


def plan(rows: Sequence[leaderboard.Row], folder: Path, search: SearchConfig) -> list[Final]:
    """The runs of the final stage, seed by seed: of the best `search.finalists` different configurations (of several
    objectives: of the front), and of the same backbone and recipe without the auxiliary task.
    """
    arms: dict[str, tuple[str, dict[str, Any]]] = {}
    chosen: set[str] = set()
    planned: set[str] = set()
    for row in rows:
        if row.status != "complete" or (len(search.objectives) > 1 and not row.pareto):
            continue
        sampled = json.loads((folder / "trials" / row.trial / "config.json").read_text())["sampled"]
        own = sampled if build(sampled).trains_auxiliary else supervised(sampled)
        if _identity(own) in chosen or len(chosen) == search.finalists:
            continue
        chosen.add(_identity(own))
        for arm, settings in ((row.trial, own), (f"{row.trial}-{SUPERVISED}", supervised(sampled))):
            if _identity(settings) not in planned:
                planned.add(_identity(settings))
                arms[arm] = (row.trial, settings)
    first = 1 + max((row.seed for row in rows), default=0)
    seeds = range(first, first + search.final_seeds)
    return [
        Final(f"{arm}-seed{seed}", of, seed, {**settings, "seed": seed})
        for seed in seeds
        for arm, (of, settings) in arms.items()
    ]


def supervised(sampled: Mapping[str, Any]) -> dict[str, Any]:
    """The same backbone and recipe without the auxiliary task: what only that task reads is left out."""
    kept = {key: value for key, value in sampled.items() if key == "masking.unit" or not key.startswith(AUXILIARY)}
    return {**kept, "auxiliary": False, "streams": f"MRGB/RRGB/C{build(sampled).classified_stream}"}


def _identity(sampled: Mapping[str, Any]) -> str:
    """Equal for what differs in its seed alone."""
    return build({**sampled, "seed": 0}).hash()


def complete(finals: Sequence[Final], folder: Path) -> list[tuple[Final, dict[str, Any]]]:
    """The runs that reached their last epoch, with what they reported then."""
    found = []
    for final in finals:
        outcome = folder / "finals" / final.name / "outcome.json"
        if outcome.exists() and json.loads(outcome.read_text())["status"] == "complete":
            found.append((final, leaderboard.metrics(outcome.parent)[-1]))
    return found


def standings(finals: Sequence[Final], folder: Path) -> list[Standing]:
    """The table, the winner first: the highest mean of the arms whose runs all reached their last epoch. Reads
    validation scores only.
    """
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    parameters: dict[str, int] = {}
    for final, last in complete(finals, folder):
        scores[final.arm][final.seed] = last["val/best"]
        parameters[final.arm] = last["parameters"]
    asked = {
        arm: [final for final in finals if final.arm == arm] for arm in dict.fromkeys(final.arm for final in finals)
    }
    whole = [arm for arm in asked if len(scores[arm]) == len(asked[arm])]
    if not whole:
        return []
    winner = max(whole, key=lambda arm: interval(list(scores[arm].values()))[0])
    compared = {arm.label: arm for arm in compare({arm: found for arm, found in scores.items() if found}, winner)}
    ranked = sorted(compared.values(), key=lambda arm: (arm.label not in whole, -arm.mean))
    by_identity = {_identity(runs[0].sampled): arm for arm, runs in asked.items()}
    twins = {arm: by_identity.get(_identity(supervised(runs[0].sampled))) for arm, runs in asked.items()}
    return [_standing(arm, asked[arm.label], scores, parameters[arm.label], twins[arm.label]) for arm in ranked]


def tied(table: Sequence[Standing]) -> list[Standing]:
    """Those that validation cannot tell from the winner."""
    return [line for line in table[1:] if line.verdict in ("tie", "equal", "no spread") and not line.failed]


def with_test(table: Sequence[Standing], finals: Sequence[Final], results: Mapping[str, float]) -> list[Standing]:
    """The table with the mean of the test scores (by name of the run); the order stays."""
    filled = []
    for line in table:
        mean, half = interval(
            [results[final.name] for final in finals if final.arm == line.arm and final.name in results]
        )
        filled.append(replace(line, test=mean, test_half=half))
    return filled


def write(table: Sequence[Standing], folder: Path) -> None:
    """`finals.csv` and `finals.md`."""
    with (folder / "finals.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Standing)])
        writer.writeheader()
        writer.writerows(asdict(line) for line in table)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells(line)) + " |" for line in table]
    (folder / "finals.md").write_text("\n".join(lines) + "\n")


def cells(line: Standing) -> list[str]:
    """A line of the table in words."""
    weight = "-" if line.aux_weight == 0 else f"{line.aux_weight:.2g}"
    seeds = f"{line.seeds}" + (f" ({line.failed} failed)" if line.failed else "")
    difference = "" if line.verdict == "winner" else f"{line.difference:+.4f} ± {line.difference_half:.4f}"
    twin = "" if line.over_supervised is None else f"{line.over_supervised:+.4f} ± {line.over_supervised_half:.4f}"
    test = "" if line.test is None else f"{line.test:.4f} ± {line.test_half:.4f}"
    return [
        line.arm,
        line.backbone,
        line.streams,
        weight,
        seeds,
        f"{line.mean:.4f} ± {line.half:.4f}",
        difference,
        line.verdict,
        twin,
        test,
    ]


def _standing(
    arm: Arm, runs: Sequence[Final], scores: Mapping[str, Mapping[int, float]], parameters: int, of: str | None
) -> Standing:
    config = build(runs[0].sampled)
    twin = (
        compare({of: scores[of], arm.label: scores[arm.label]}, of)[1]
        if of and of != arm.label and scores[of]
        else None
    )
    return Standing(
        arm=arm.label,
        backbone=catalog.architecture(config.backbone),
        streams=leaderboard.streams(config),
        aux_weight=config.aux_weight if config.trains_auxiliary else 0.0,
        parameters=parameters,
        seeds=arm.seeds,
        failed=len(runs) - arm.seeds,
        mean=arm.mean,
        half=arm.half,
        difference=arm.difference,
        difference_half=arm.difference_half,
        verdict="winner" if arm.verdict == "baseline" else arm.verdict,
        over_supervised=twin.difference if twin else None,
        over_supervised_half=twin.difference_half if twin else None,
    )
