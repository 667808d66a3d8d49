"""The answer: who wins, how sure that is, and what the auxiliary task brought."""

from __future__ import annotations

from collections.abc import Iterator

from lssat.evaluation.scorecard import interval_in_words
from search.findings import winner
from search.findings.winner import Winner
from search.page.document import Section, Statement
from search.page.study import StudyOnPage
from search.record.trials import Status

RULE = "of the score of the kept weights on test, its images resampled, those of a person or video together"
"""By which rule the winner has an interval."""
NAMED = 4
"""Failed runs that are named."""


def section(study: StudyOnPage) -> Section:
    """Few sentences or, while the study has no winner, how far it has come."""
    found = study.winner
    said = list(_of_winner(study, found) if found else _so_far(study))
    return Section("answer", "The answer", said)


def _of_winner(study: StudyOnPage, found: Winner) -> Iterator[Statement]:
    card, bounds = found.card, found.card["interval"]
    yield Statement(
        f"{study.id}.winner",
        f"Take {found.backbone} ({found.name}): {card['metric']} {found.validation:.4f} on validation and "
        f"{found.test:.4f} on test, {found.over}.",
        RULE if bounds else "",
        (float(bounds[0]), float(bounds[1])) if bounds else None,
        data=study.folder.manifest.name,
    )
    why = "" if bounds else f" ({interval_in_words(card)})"
    yield Statement(
        f"{study.id}.kept",
        f"Kept in {study.folder.bundle.name}/: {found.kept}, with {card['score']:.4f} on test{why}.",
        data=study.folder.manifest.name,
    )
    guessed = winner.guessed(study.folder, study.chosen, study.runs) if study.chosen else None
    if guessed and (warning := winner.chance_line(found, guessed)):
        yield Statement(f"{study.id}.chance", _sentence([warning]), data=study.folder.manifest.name, is_warning=True)
    if lines := winner.of_the_best(study.table):
        yield Statement(f"{study.id}.best", _sentence(lines), "finalists, on validation", data=_data(study))
    elif len(study.table) < 2:
        yield Statement(f"{study.id}.untested", _why_untested(study), is_warning=True)
    if lines := winner.of_the_auxiliary_task(study.table):
        yield Statement(f"{study.id}.auxiliary", _sentence(lines), "finalists, on validation", data=_data(study))


def _why_untested(study: StudyOnPage) -> str:
    """Why the winner stands beside nobody."""
    said = "Whether another would do as well was not tested"
    if study.table:
        return f"{said}: the final stage has no other arm."
    if not study.runs:
        return f"{said}: there was no final stage to compare in."
    failed = study.failed_finals
    if not failed:
        return f"{said}: the final stage is not over."
    named = ", ".join(failed[:NAMED]) + (f" and {len(failed) - NAMED} more" if len(failed) > NAMED else "")
    return f"{said}: {winner.NO_FINALIST}. Failed: {named}."


def _so_far(study: StudyOnPage) -> Iterator[Statement]:
    """Of a study that runs, was interrupted, or has no trial that could win."""
    yield Statement(f"{study.id}.open", _how_far(study), is_warning=True)
    if study.complete:
        best = study.complete[0]
        yield Statement(
            f"{study.id}.leading",
            f"So far trial {best.trial} ({best.backbone}) leads with {best.score:.4f} on validation: one run, picked "
            "as the highest of many, so that this is too high.",
            data=study.folder.leaderboard.name,
        )


def _how_far(study: StudyOnPage) -> str:
    counts = {status: sum(row.status == status for row in study.rows) for status in Status}
    begun = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    if not study.rows:
        return "There is no winner: no trial has begun yet."
    if not study.complete:
        begins = "There is no winner yet: the study runs, and" if study.runs_now else "There is no winner:"
        return f"{begins} no trial had its full budget yet ({begun})."
    is_running = "the study runs; " if study.runs_now else ""
    return f"There is no winner yet ({begun}); {is_running}{_opened(study)}."


def _opened(study: StudyOnPage) -> str:
    """Whether anybody has looked at the test split, and whom a choice of before took there."""
    if not study.manifest.num_openings:
        return "the test split is closed"
    run = study.manifest.content["test_opened"][-1]["chosen"]
    result = study.manifest.test_results.get(run)
    got = f", which got {result['metric']} {result['score']:.4f} there" if result else ""
    return f"so far the test split was opened for {run}{got}; the study has gone on since"


def _data(study: StudyOnPage) -> str:
    return study.file("finalists") + ".csv"


def _sentence(lines: list[str]) -> str:
    """Lines of the last screen as sentences of a page."""
    sentences = [line.strip() for line in lines]
    return " ".join(f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" for text in sentences)
