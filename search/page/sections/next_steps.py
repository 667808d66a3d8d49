"""What to do next: the lines to type, each with what it would tell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from lssat.command import from_here
from search.claims.words import listed
from search.findings.told import would_tell
from search.page.document import Section, Statement
from search.page.study import StudyOnPage


def section(study: StudyOnPage) -> Section:
    """The steps that this study leaves open."""
    return Section("next", "What to do next", list(_steps(study)))


def _steps(study: StudyOnPage) -> Iterator[Statement]:
    folder = from_here(study.folder.path)
    if study.runs_now:
        watch = ("python", "search/report.py", folder, "--watch")
        yield _step(study, "wait", "Wait for the end of the study, which runs; until then watch it.", *watch)
    else:
        yield from _to_go_on(study)
    if not study.winner:
        return
    bundle = from_here(study.folder.bundle)
    yield _step(study, "predict", "Ask the winner about photos.", "python", "-m", "lssat.predict", bundle, "PHOTOS")
    row = f"{folder}#{study.complete[0].trial}"
    yield _step(study, "again", "Train one row anew, for the same curve.", "python", "search/run.py", "--again", row)
    board = ("tensorboard", "--logdir", from_here(study.folder.tensorboard), "--host", "127.0.0.1")
    yield _step(study, "tensorboard", "Look at every epoch of every run.", *board)
    dashboard = ("python", "search/dashboard.py", folder)
    yield _step(study, "dashboard", "Turn the trials over: slices, contours, parallel coordinates.", *dashboard)


def _to_go_on(study: StudyOnPage) -> Iterator[Statement]:
    """What one session more would bring."""
    if not study.winner:
        yield Statement(f"{study.id}.next.resume", "Go on with the study.", command=study.resume)
        return
    yield from _to_tell_finalists_apart(study)
    if study.runs and not study.table:
        yield Statement(f"{study.id}.next.resume", _after_failed_finals(study), command=study.resume)
    elif len(study.table) < 2:
        yield Statement(
            f"{study.id}.next.finals",
            "Compare the best trials over fresh seeds.",
            command=f"{study.resume} --set search.finalists=3",
        )


def _to_tell_finalists_apart(study: StudyOnPage) -> Iterator[Statement]:
    """Seeds, for the rivals of the best that seeds tell from it; what it takes for the others."""
    rivals = [row.best for row in study.table if row.best.difference is not None and row.best.cost]
    seeds = [told.cost.seeds for told in rivals if told.cost and told.cost.seeds]
    others = [told for told in rivals if told.cost and not told.cost.seeds]
    if seeds:
        whom = f"Tell {len(seeds)} of {len(rivals)} rivals from the best" if others else "Tell the finalists apart"
        wanted = study.manifest.final_search.final_seeds + max(seeds)
        yield Statement(
            f"{study.id}.next.seeds",
            f"{whom}: train each from {max(seeds)} more {'seed' if max(seeds) == 1 else 'seeds'}.",
            command=f"{study.resume} --set search.final_seeds={wanted}",
        )
    if others:
        names = listed([told.claim.arm for told in others])
        yield Statement(
            f"{study.id}.next.units", f"No number of seeds tells {names} from the best: {would_tell(others)}."
        )


def _after_failed_finals(study: StudyOnPage) -> str:
    """What to do about a final stage of which no arm is whole."""
    if study.failed_finals:
        return "See under failures why the final runs failed, mend that, and go on with the study."
    return "Go on with the final stage."


def _step(study: StudyOnPage, name: str, text: str, *command: str) -> Statement:
    return Statement(f"{study.id}.next.{name}", text, command=shlex.join(command))
