"""The report of studies: which sections it has, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lssat.errors import ConfigError, why_of
from search.findings.tasks import names_of
from search.page.document import Part, Report, Section, Statement
from search.page.sections import answer, cost, curves, data, failures, finalists, front, manifest, next_steps, trials
from search.page.sections.classes import by_class, calibration, subgroups
from search.page.sections.faces import doubtful, mistakes, reconstructions
from search.page.sections.questions import backbones, domains, settings, tasks, texture
from search.page.study import StudyOnPage, read_study
from search.record.folder import Stage

SECTIONS: tuple[Callable[[StudyOnPage], Section | None], ...] = (
    answer.section,
    next_steps.section,
    finalists.section,
    domains.section,
    settings.section,
    backbones.section,
    texture.section,
    curves.section,
    cost.section,
    front.section,
    by_class.section,
    calibration.section,
    subgroups.section,
    reconstructions.section,
    mistakes.section,
    doubtful.section,
    trials.section,
    data.section,
    failures.section,
    manifest.section,
)
"""Of each study, in the order of the page."""

Said = TypeVar("Said")
BROKEN = "broken"
"""Ends the id of the sentence that stands for a section."""


def report_of(folders: Sequence[Path], with_faces: bool = True, is_over: bool = False) -> Report:
    """The report of one study or several: what can be said of them. `with_faces`: with pictures of faces, which not
    everyone may be shown. `is_over`: a session asks for it at its own end. Raises ConfigError where no folder holds a
    study that can be read.
    """
    names, studies, unread = names_of(folders), [], []
    for name, folder in zip(names, folders, strict=True):
        try:
            studies.append(read_study(folder, name, len(folders) > 1, with_faces, is_over))
        except ConfigError as error:
            unread.append(_unread(name, error))
            if len(unread) == len(folders):
                raise
    margin = min(study.manifest.space.search.margin for study in studies)
    together = _guarded(lambda: tasks.part(studies, margin), tasks.ID)
    parts = [*([together] if together else []), *(_part(study) for study in studies), *unread]
    title = studies[0].folder.name if len(folders) == 1 else ", ".join(names)
    return Report(title, _or(lambda: about(studies), ""), _or(lambda: facts(studies), []), parts)


def _unread(name: str, error: ConfigError) -> Part:
    """A study of several that cannot be read, as one sentence in its place."""
    said = Statement(f"{name}.{BROKEN}", f"This study is left out: {error}.", is_warning=True)
    return Part(name, name, [Section("answer", "The answer", [said])])


def _guarded(make: Callable[[], Part | None], id: str) -> Part | None:
    """A part or, where it cannot be made, the sentence that says so."""
    try:
        return make()
    except Exception as error:
        said = Statement(f"{id}.{BROKEN}", _cannot_be_shown(error), is_warning=True)
        return Part(id, "All tasks together", [Section("answer", "The answer", [said])])


def _or(make: Callable[[], Said], instead: Said) -> Said:
    """What stands at the head of the page or, where the record lacks it, nothing."""
    try:
        return make()
    except Exception:
        return instead


def _part(study: StudyOnPage) -> Part:
    sections = [found for each in SECTIONS if (found := _section(each, study))]
    if study.damaged:
        said = [
            Statement(f"{study.id}.damaged.{place}", text, is_warning=True) for place, text in enumerate(study.damaged)
        ]
        sections.insert(0, Section("damaged", "Left out of this page", said))
    return Part(study.id, study.id if study.is_one_of_several else "", sections)


def _section(make: Callable[[StudyOnPage], Section | None], study: StudyOnPage) -> Section | None:
    """A section or, where it cannot be made, the sentence that says so: one damaged file must not take all away."""
    name = make.__module__.rpartition(".")[2]
    try:
        return make(study)
    except Exception as error:
        said = Statement(f"{study.id}.{name}.{BROKEN}", _cannot_be_shown(error), is_warning=True)
        return Section(name, name.replace("_", " ").capitalize(), [said])


def _cannot_be_shown(error: Exception) -> str:
    return f"This part cannot be shown: {why_of(error)}"


def about(studies: Sequence[StudyOnPage]) -> str:
    """Of which data the studies are."""
    return "; ".join(dict.fromkeys(_data_in_words(study) for study in studies))


def _data_in_words(study: StudyOnPage) -> str:
    data = study.data
    kind = "synthetic faces, rendered by this project" if data.get("synthetic") else Path(str(data["source"])).name
    return f"task {data['task']} on {kind}"


def facts(studies: Sequence[StudyOnPage]) -> list[tuple[str, str]]:
    """What a reader wants to know first of how it was made."""
    return [
        ("images", "; ".join(_rows(study) for study in studies)),
        ("trials", "; ".join(str(len(study.rows)) for study in studies)),
        ("final runs", "; ".join(str(len(study.records[Stage.FINAL])) for study in studies)),
        ("begun", "; ".join(dict.fromkeys(_begun(study) for study in studies))),
        ("test split opened", "; ".join(_opened(study) for study in studies)),
    ]


def _rows(study: StudyOnPage) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in study.data["rows"].items())


def _begun(study: StudyOnPage) -> str:
    return str(study.manifest.content["sessions"][0]["started"])[:10]


def _opened(study: StudyOnPage) -> str:
    times = study.manifest.num_openings
    return "never" if times == 0 else "once, after the choice" if times == 1 else f"{times} times, after each choice"
