"""The final stage as a table: means over fresh seeds, differences with intervals, and what the auxiliary task brought.

Only these scores are compared: the search has looked at many and kept the highest, so those of its best trials are too
high.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from lssat.files import write_text
from lssat.markdown import markdown_table
from lssat.model import catalog
from lssat.train.result import EpochResult
from search.claims.paired import Comparison, compare, interval
from search.record.folder import RunFolder, Stage
from search.record.trials import Status
from search.report.csv_files import write_csv
from search.report.leaderboard import Row as LeaderboardRow
from search.report.leaderboard import streams_of
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm, FinalRun, final_arms, final_runs, finalists

COLUMNS = (
    "arm",
    "backbone",
    "streams",
    "aux_weight",
    "seeds",
    "score",
    "to the winner",
    "verdict",
    "over supervised",
    "test",
)
TIES = ("tie", "equal", "no spread")


@dataclass(frozen=True)
class FinalRow:
    """One arm of the final stage. Scores are the best on validation, over seeds; each `half` is the half-width of a 95%
    interval. `difference`: to the winner, paired by seed. `over_supervised`: to the supervised baseline.

    `test`: filled in when the choice is fixed.
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


def planned_finalists(folder: RunFolder, rows: Sequence[LeaderboardRow], search: SearchConfig) -> list[Arm]:
    """The finalists of a study whose trials rank as `rows` say. Of several objectives those on the Pareto front are
    eligible.
    """
    eligible = [
        folder.record(Stage.SEARCH, row.trial)
        for row in rows
        if row.status == Status.COMPLETE and (len(search.objectives) == 1 or row.pareto)
    ]
    return finalists(eligible, search)


def planned_runs(folder: RunFolder, rows: Sequence[LeaderboardRow], search: SearchConfig) -> list[FinalRun]:
    """The runs of the final stage, with the learning rates of supervised baselines that are best so far."""
    chosen = planned_finalists(folder, rows, search)
    first_seed = 1 + max((row.seed for row in rows), default=0)
    return final_runs(final_arms(chosen, Baselines(folder, search).of), search, first_seed)


def complete_runs(folder: RunFolder, runs: Sequence[FinalRun]) -> dict[str, EpochResult]:
    """Name -> last result of each of these runs that reached its last epoch."""
    records = (folder.record(Stage.FINAL, run.name) for run in runs)
    return {record.name: record.last for record in records if record.status == Status.COMPLETE and record.last}


def final_table(folder: RunFolder, runs: Sequence[FinalRun]) -> list[FinalRow]:
    """The arms, the winner first: the highest mean of the arms whose runs all reached their last epoch. Reads
    validation scores only.
    """
    results = complete_runs(folder, runs)
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    parameters: dict[str, int] = {}
    for run in runs:
        if result := results.get(run.name):
            scores[run.arm.name][run.seed] = result.best
            parameters[run.arm.name] = result.parameters
    arms = {run.arm.name: run.arm for run in runs}
    num_seeds = len({run.seed for run in runs})
    whole = [name for name in arms if len(scores[name]) == num_seeds]
    if not whole:
        return []
    winner = max(whole, key=lambda name: interval(list(scores[name].values()))[0])
    compared = compare({name: found for name, found in scores.items() if found}, winner)
    ranked = sorted(compared, key=lambda comparison: (comparison.label not in whole, -comparison.mean))
    rows = []
    for comparison in ranked:
        arm = arms[comparison.label]
        over_supervised = _over(comparison.label, arm.supervised, scores)
        row = _row(arm, comparison, over_supervised)
        rows.append(replace(row, parameters=parameters[row.arm], failed=num_seeds - row.seeds))
    return rows


def tied(table: Sequence[FinalRow]) -> list[FinalRow]:
    """Those that validation cannot tell from the winner."""
    return [row for row in table[1:] if row.verdict in TIES and not row.failed]


def with_test(table: Sequence[FinalRow], runs: Sequence[FinalRun], scores: Mapping[str, float]) -> list[FinalRow]:
    """The table with the mean of the test scores (by name of the run); the order stays."""
    filled = []
    for row in table:
        found = [scores[run.name] for run in runs if run.arm.name == row.arm and run.name in scores]
        mean, half = interval(found)
        filled.append(replace(row, test=mean, test_half=half))
    return filled


def write(table: Sequence[FinalRow], folder: RunFolder) -> None:
    """The final table of a run folder, as CSV, and what the screen shows as Markdown."""
    write_csv(folder.final_table, [field.name for field in fields(FinalRow)], map(asdict, table))
    write_text(folder.final_page, markdown_table(COLUMNS, map(cells, table)))


def cells(row: FinalRow) -> list[str]:
    """A row in words, by `COLUMNS`."""
    weight = "-" if row.aux_weight == 0 else f"{row.aux_weight:.2g}"
    seeds = f"{row.seeds}" + (f" ({row.failed} failed)" if row.failed else "")
    difference = "" if row.verdict == "winner" else plus_minus(row.difference, row.difference_half, "+")
    over = "" if row.over_supervised is None else plus_minus(row.over_supervised, row.over_supervised_half, "+")
    test = "" if row.test is None else plus_minus(row.test, row.test_half)
    score = plus_minus(row.mean, row.half)
    return [row.arm, row.backbone, row.streams, weight, seeds, score, difference, row.verdict, over, test]


def plus_minus(value: float, half: float | None, sign: str = "") -> str:
    """A number with the half-width of its interval, where it has one: a single seed has none."""
    return f"{value:{sign}.4f}" + ("" if half is None or math.isnan(half) else f" ± {half:.4f}")


def _over(arm: str, baseline: str, scores: Mapping[str, Mapping[int, float]]) -> Comparison | None:
    """An arm against its supervised baseline, where that is another arm and has scores."""
    if baseline == arm or not scores.get(baseline):
        return None
    return compare({baseline: scores[baseline], arm: scores[arm]}, baseline)[1]


def _row(arm: Arm, comparison: Comparison, over_supervised: Comparison | None) -> FinalRow:
    config = arm.config
    return FinalRow(
        arm=arm.name,
        backbone=catalog.architecture(config.backbone),
        streams=streams_of(config),
        aux_weight=config.aux_weight if config.trains_auxiliary else 0.0,
        parameters=None,
        seeds=comparison.seeds,
        failed=0,
        mean=comparison.mean,
        half=comparison.half,
        difference=comparison.difference,
        difference_half=comparison.difference_half,
        verdict="winner" if comparison.verdict == "baseline" else comparison.verdict,
        over_supervised=over_supervised.difference if over_supervised else None,
        over_supervised_half=over_supervised.difference_half if over_supervised else None,
    )
