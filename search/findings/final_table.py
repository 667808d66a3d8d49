"""The final stage as a table: means over fresh seeds, differences with intervals, and what the auxiliary task brought.

Only these scores are compared: the search has looked at many and kept the highest, so those of its best trials are too
high. Means have no interval: whether those of two arms overlap says nothing of their difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from lssat.files import write_text
from lssat.model import catalog
from lssat.text.markdown import markdown_table
from lssat.train.result import EpochResult
from search.claims.estimate import estimate
from search.claims.runs import Runs
from search.claims.words import LAST_BITS, beside_baselines, beside_best
from search.findings.csv_files import write_csv
from search.findings.leaderboard import Row as LeaderboardRow
from search.findings.leaderboard import streams_of
from search.findings.scored_runs import StageRuns
from search.findings.told import Rule, Told, seconds_of_a_seed, told
from search.record.folder import RunFolder, Stage
from search.record.manifest import read_manifest
from search.record.trials import Status
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm, FinalRun, arm_scores, final_arms, final_runs, finalists

COLUMNS = (
    "arm",
    "backbone",
    "streams",
    "aux_weight",
    "seeds",
    "score",
    "in domain",
    "to the best",
    "verdict",
    "over supervised",
    "auxiliary",
    "test",
    "would tell",
    "would tell of auxiliary",
)
OF_ARM = ("arm", "backbone", "streams", "aux_weight", "parameters", "seeds", "failed", "mean", "in_domain")
CSV_COLUMNS = (
    *OF_ARM,
    "difference",
    "difference_half",
    "verdict",
    "to_tell",
    "over_supervised",
    "over_supervised_half",
    "auxiliary",
    "auxiliary_to_tell",
    "test",
)


@dataclass(frozen=True)
class FinalRow:
    """One arm of the final stage. `mean`: of its best scores on validation; of an arm of which a run failed, as far as
    the seeds of the others tell. `best`: beside the arm of the highest mean. `supervised`: beside its supervised
    baseline, where that is another arm and ran. `in_domain`: where values are held out, of which the mean is, the mean
    of the same weights on the other rows; over the worst folds, where a seed's worst one counts.

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
    best: Told
    supervised: Told | None
    in_domain: float | None = None
    test: float | None = None


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
    rotation = read_manifest(folder.manifest).rotation_of(search) if search.rotate else None
    return final_runs(final_arms(chosen, Baselines(folder, search).of), search, first_seed, rotation)


def complete_runs(folder: RunFolder, runs: Sequence[FinalRun]) -> dict[str, EpochResult]:
    """Name -> last result of each of these runs that reached its last epoch."""
    records = (folder.record(Stage.FINAL, run.name) for run in runs)
    return {record.name: record.last for record in records if record.status == Status.COMPLETE and record.last}


def winning_arm(runs: Sequence[FinalRun], results: Mapping[str, EpochResult]) -> str | None:
    """The arm with the highest mean of those whose runs all reached their last epoch; of equals the first of the
    alphabet. `results`: see `complete_runs`.
    """
    scores = arm_scores(runs, {name: result.best for name, result in results.items()})
    num_seeds = len({run.seed for run in runs})
    means = {arm: fmean(found.values()) for arm, found in scores.items() if found and len(found) == num_seeds}
    return min((arm for arm, mean in means.items() if mean > max(means.values()) - LAST_BITS), default=None)


def final_table(
    folder: RunFolder,
    runs: Sequence[FinalRun],
    rows: Sequence[LeaderboardRow],
    search: SearchConfig,
    scored: StageRuns | None = None,
) -> list[FinalRow]:
    """The arms, the winner first, those with failed runs last; none where nobody may win. Reads validation scores only.

    `rows`: the trials. Finalists were picked of all that have a score: the scheduler stops trials on the same
    validation set. `scored`: the final stage, where it is read for more than this table.
    """
    results = complete_runs(folder, runs)
    winner = winning_arm(runs, results)
    if winner is None:
        return []
    whole = arm_scores(runs, {name: result.best for name, result in results.items()})
    arms = {run.name: (run.arm.name, run.seed) for run in runs if run.seed in whole[run.arm.name]}
    candidates = sum(row.score is not None for row in rows)
    rule = Rule(search.margin, candidates, seconds_of_a_seed(folder, Stage.FINAL, arms))
    table = table_of((scored or StageRuns(folder, Stage.FINAL)).of(arms), runs, winner, rule)
    parameters = {run.arm.name: results[run.name].parameters for run in runs if run.name in results}
    in_domain = _in_domain(runs, results)
    return [replace(row, parameters=parameters[row.arm], in_domain=in_domain.get(row.arm)) for row in table]


def _in_domain(runs: Sequence[FinalRun], results: Mapping[str, EpochResult]) -> dict[str, float]:
    """Arm -> its score in domain; of those that have one."""
    known = {name: result.best_in_domain for name, result in results.items() if result.best_in_domain is not None}
    by_arm = arm_scores(runs, {name: results[name].best for name in known}, known)
    return {arm: fmean(found.values()) for arm, found in by_arm.items() if found}


def table_of(scored: Runs, runs: Sequence[FinalRun], winner: str, rule: Rule) -> list[FinalRow]:
    """The rows of arms with these scores, of the planned `runs`."""
    found = estimate(scored)
    arms = {run.arm.name: run.arm for run in runs}
    baselines = {name: arms[name].supervised for name in found.arms}
    pairs = [(name, baseline) for name, baseline in baselines.items() if baseline != name and baseline in baselines]
    over = told(found, beside_baselines(found, pairs, rule.candidates, rule.margin), rule)
    supervised = dict(zip((arm for arm, _ in pairs), over, strict=True))
    num_seeds = len({run.seed for run in runs})
    rows = []
    for beside in told(found, beside_best(found, rule.margin), rule):
        arm, place = arms[beside.claim.arm], found.arms.index(beside.claim.arm)
        config, seeds = arm.config, found.runs[place]
        row = FinalRow(
            arm=arm.name,
            backbone=catalog.architecture(config.backbone),
            streams=streams_of(config),
            aux_weight=config.aux_weight if config.trains_auxiliary else 0.0,
            parameters=None,
            seeds=seeds,
            failed=num_seeds - seeds,
            mean=float(found.means[place]),
            best=beside,
            supervised=supervised.get(arm.name),
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (row.arm != winner, row.failed > 0))


def with_test(table: Sequence[FinalRow], runs: Sequence[FinalRun], scores: Mapping[str, float]) -> list[FinalRow]:
    """The table with the mean of the test scores (by name of the run); the order stays."""
    filled, by_arm = [], arm_scores(runs, scores)
    for row in table:
        found = by_arm.get(row.arm)
        filled.append(replace(row, test=fmean(found.values()) if found else None))
    return filled


def write(table: Sequence[FinalRow], said: Sequence[str], folder: RunFolder, folds: str = "") -> None:
    """The final table of a run folder, as CSV, and as Markdown with what is said of it; columns that are empty are left
    out there. `folds`: the table of what was held out one after the other, as a part of that page.
    """
    write_csv(folder.final_table, CSV_COLUMNS, map(_line, table))
    lines = "".join(f"- {line.strip()}\n" for line in said)
    write_text(folder.final_page, f"{markdown_table(*_without_empty(COLUMNS, map(cells, table)))}\n{lines}{folds}")


def _without_empty(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The columns of which some row has something, and the rows without the others."""
    lines = list(rows)
    kept = [place for place in range(len(columns)) if any(line[place] for line in lines)]
    return [columns[place] for place in kept], [[line[place] for place in kept] for line in lines]


def cells(row: FinalRow) -> list[str]:
    """A row in words, by `COLUMNS`."""
    weight = "-" if row.aux_weight == 0 else f"{row.aux_weight:.2g}"
    seeds = f"{row.seeds}" + (f" ({row.failed} failed)" if row.failed else "")
    best, over = row.best, row.supervised
    in_domain, test = ("" if score is None else f"{score:.4f}" for score in (row.in_domain, row.test))
    of_arm = [row.arm, row.backbone, row.streams, weight, seeds, f"{row.mean:.4f}", in_domain]
    of_auxiliary = [over.plus_minus, over.claim.word] if over else ["", ""]
    return [*of_arm, best.plus_minus, best.claim.word, *of_auxiliary, test, best.to_tell, over.to_tell if over else ""]


def _line(row: FinalRow) -> dict[str, Any]:
    """A row by `CSV_COLUMNS`."""
    best, over = row.best, row.supervised
    return {
        **{name: getattr(row, name) for name in OF_ARM},
        "difference": best.difference,
        "difference_half": best.half,
        "verdict": best.claim.word.value,
        "to_tell": best.to_tell,
        "over_supervised": over and over.difference,
        "over_supervised_half": over and over.half,
        "auxiliary": over and over.claim.word.value,
        "auxiliary_to_tell": over and over.to_tell,
        "test": row.test,
    }
