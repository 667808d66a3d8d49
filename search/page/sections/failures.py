"""What failed, did not fit or was cut short, each with its reason and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lssat.model import catalog
from search.findings.leaderboard import INTERRUPTED
from search.page.document import Block, Cell, Section, Statement, Table
from search.page.study import StudyOnPage
from search.record.folder import Stage
from search.record.names import LOG
from search.record.trials import Status, TrialRecord

NAMED = 4
"""Runs with a reason that stand beside it."""
NOT_WELL = (Status.FAILED, Status.INFEASIBLE, Status.RUNNING)
TO_DO = {
    Status.FAILED: f"read what it printed in {LOG}",
    Status.INFEASIBLE: "nothing: the search goes on without it; to have it, change what its reason names",
    Status.RUNNING: "go on with --resume",
}
DIVERGED = "its training diverged: search lower rates (optim.lr), or train in float32 (optim.precision)"


@dataclass(frozen=True)
class Unwell:
    """A run that has no full result."""

    stage: Stage
    record: TrialRecord

    @property
    def reason(self) -> str:
        """Why, as far as is on record."""
        return (self.record.outcome or INTERRUPTED).reason or "no reason is on record"

    @property
    def to_do(self) -> str:
        """What the reader can do about it."""
        if self.record.status == Status.FAILED and "not a number" in self.reason:
            return DIVERGED
        lost = "; its arm cannot win" if self.stage is Stage.FINAL and self.record.status != Status.RUNNING else ""
        return TO_DO[self.record.status] + lost


def section(study: StudyOnPage) -> Section | None:
    """None where all is well: a run that runs is, and so is one that waits while the study runs."""
    found = [
        Unwell(stage, record)
        for stage, records in study.records.items()
        for record in records
        if record.status in NOT_WELL and not (study.runs_now and record.status == Status.RUNNING)
    ]
    return Section("failures", "Failures", list(_blocks(study, found))) if found else None


def _blocks(study: StudyOnPage, found: Sequence[Unwell]) -> Iterator[Block]:
    yield from _statements(study, found)
    yield _reasons(study, found)
    yield Table(
        study.file("statuses"),
        "How all runs ended",
        ["stage", *(status.value for status in Status)],
        [
            [stage.words, *(sum(record.status == status for record in records) for status in Status)]
            for stage, records in study.records.items()
            if records
        ],
    )
    yield Table(
        study.file("failures"),
        "Each of these runs",
        ["stage", "run", "backbone", "status", "epochs", "reason"],
        [
            [
                each.stage.words,
                each.record.name,
                catalog.architecture(each.record.config.backbone),
                each.record.status.value,
                each.record.num_epochs,
                each.reason,
            ]
            for each in sorted(found, key=lambda each: NOT_WELL.index(each.record.status))
        ],
        shown=10,
    )


def _reasons(study: StudyOnPage, found: Sequence[Unwell]) -> Table:
    """Each reason once, the commonest first."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in found:
        alike.setdefault((each.record.status.value, each.reason, each.to_do), []).append(each.record.name)
    rows: list[list[Cell]] = [
        [status, len(names), reason, to_do, ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")]
        for (status, reason, to_do), names in sorted(alike.items(), key=lambda of: -len(of[1]))
    ]
    columns = ["status", "number", "reason", "what to do", "runs"]
    return Table(study.file("reasons"), "What failed, did not fit or was cut short, and what to do", columns, rows)


def _statements(study: StudyOnPage, found: Sequence[Unwell]) -> Iterator[Statement]:
    said = {
        Status.FAILED: "Failed",
        Status.INFEASIBLE: "Did not fit into memory",
        Status.RUNNING: "Not ended when this page was made, but running, paused or cut short",
    }
    for status, words in said.items():
        if number := sum(each.record.status == status for each in found):
            yield Statement(
                f"{study.id}.failures.{status}",
                f"{words}: {number} of {sum(map(len, study.records.values()))} runs.",
                data=f"{study.file('failures')}.csv",
                is_warning=status is Status.FAILED,
            )
