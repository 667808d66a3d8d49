"""The report of studies: which sections it has, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from search.page.document import Part, Report, Section
from search.page.sections import answer, finalists, next_steps
from search.page.study import StudyOnPage, read_study

SECTIONS: tuple[Callable[[StudyOnPage], Section | None], ...] = (
    answer.section,
    next_steps.section,
    finalists.section,
)
"""Of each study, in the order of the page."""


def report_of(folders: Sequence[Path]) -> Report:
    """The report of one study or several. Raises ConfigError where a folder holds none."""
    names = names_of(folders)
    studies = [
        read_study(folder, name, is_one_of_several=len(folders) > 1)
        for name, folder in zip(names, folders, strict=True)
    ]
    parts = [_part(study) for study in studies]
    title = studies[0].folder.name if len(studies) == 1 else ", ".join(names)
    return Report(title, about(studies), facts(studies), parts)


def _part(study: StudyOnPage) -> Part:
    sections = [found for each in SECTIONS if (found := each(study))]
    return Part(study.id, study.id if study.is_one_of_several else "", sections)


def about(studies: Sequence[StudyOnPage]) -> str:
    """Of which data the studies are."""
    return "; ".join(dict.fromkeys(_data_in_words(study) for study in studies))


def _data_in_words(study: StudyOnPage) -> str:
    data = study.data
    kind = "synthetic faces, rendered by this project" if data.get("synthetic") else Path(str(data["source"])).name
    return f"task {data['task']} on {kind}"


def facts(studies: Sequence[StudyOnPage]) -> list[tuple[str, str]]:
    """What a reader wants to know first of how it was made."""
    first = studies[0].manifest
    return [
        ("images", "; ".join(_rows(study) for study in studies)),
        ("trials", "; ".join(str(len(study.rows)) for study in studies)),
        ("final runs", "; ".join(str(len(study.runs)) for study in studies)),
        ("begun", str(first.content["sessions"][0]["started"])[:10]),
        ("test split opened", "; ".join(_opened(study) for study in studies)),
    ]


def _rows(study: StudyOnPage) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in study.data["rows"].items())


def _opened(study: StudyOnPage) -> str:
    times = study.manifest.num_openings
    return "never" if times == 0 else "once, after the choice" if times == 1 else f"{times} times, after each choice"


def names_of(folders: Sequence[Path]) -> list[str]:
    """The folders' names without what they begin with alike: `emotion` of `per_task-emotion`."""
    return [folder.resolve().name for folder in folders]
