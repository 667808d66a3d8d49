"""What to do next: the lines to type, each with what it would tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from lssat.command import from_here
from search.claims.words import Word
from search.page.document import Section, Statement
from search.page.study import StudyOnPage


def section(study: StudyOnPage) -> Section:
    """The steps that this study leaves open."""
    return Section("next", "What to do next", list(_steps(study)))


def _steps(study: StudyOnPage) -> Iterator[Statement]:
    folder = from_here(study.folder.path)
    again = shlex.join(["python", *study.manifest.command])
    resume = again if "--resume" in study.manifest.command else f"{again} --resume"
    if not study.winner:
        yield Statement(f"{study.id}.next.resume", "Go on with the study.", command=resume)
        return
    rivals = [row.best for row in study.table if row.best.claim.word in (Word.MAY_BE_BEST, Word.UNTOLD)]
    seeds = [told.cost.seeds for told in rivals if told.cost and told.cost.seeds]
    if seeds:
        wanted = study.manifest.space.search.final_seeds + max(seeds)
        yield Statement(
            f"{study.id}.next.seeds",
            f"Tell the finalists apart: {rivals_in_words(max(seeds))}.",
            command=f"{resume} --set search.final_seeds={wanted}",
        )
    if len(study.table) < 2:
        yield Statement(
            f"{study.id}.next.finals",
            "Compare the best trials over fresh seeds.",
            command=f"{resume} --set search.finalists=3",
        )
    role = shlex.join(["python", "search/role.py", folder])
    yield Statement(f"{study.id}.next.role", "Read what each setting did, in more words.", command=role)
    row = study.complete[0].trial
    row_again = shlex.join(["python", "search/run.py", "--again", f"{folder}#{row}"])
    yield Statement(f"{study.id}.next.again", "Train one row anew and see the same curve.", command=row_again)
    board = shlex.join(["tensorboard", "--logdir", from_here(study.folder.tensorboard), "--host", "127.0.0.1"])
    yield Statement(f"{study.id}.next.tensorboard", "Look at every epoch of every run.", command=board)


def rivals_in_words(seeds: int) -> str:
    """How many more runs of each arm it takes."""
    return f"train each from {seeds} more {'seed' if seeds == 1 else 'seeds'}"
