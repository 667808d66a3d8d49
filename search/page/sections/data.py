"""The data: rows and classes of each split, what was left out of them, and what is in two splits."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lssat.data.prepared.table import DATASETS, LEAKS_FILE, SPLITS, VALIDATE_ON, DatasetInfo
from search.page.document import Block, Cell, Section, Statement, Table
from search.page.study import StudyOnPage

FIRST = 10
KINDS = {"identity": "person", "video": "video", "image": "near-duplicate image"}


def section(study: StudyOnPage) -> Section:
    """Where the data are gone or have changed, what the manifest says of them."""
    if study.info is None:
        return Section("data", "The data", [*_gone(study)])
    info = study.info
    return Section(
        "data",
        "The data",
        [*_rows(study, info), *_data_sets(study, info), *_rejects(study, info), *_leaks(study, info)],
    )


def _gone(study: StudyOnPage) -> Iterator[Block]:
    rows = ", ".join(f"{count:,} {split}" for split, count in study.data["rows"].items())
    yield Statement(
        f"{study.id}.data.gone",
        f"The prepared data ({rows}; {study.data.get('rejects', 0)} left out) are gone or have changed since, so that "
        "their classes, leaks and rejects cannot be shown.",
        is_warning=True,
    )


def _rows(study: StudyOnPage, info: DatasetInfo) -> Iterator[Block]:
    whose = "rendered by this project, so that scores say nothing of real faces" if info.synthetic else "not synthetic"
    splits = {"as given": "as the data give them"}.get(str(info.options.get("splits")), info.options.get("splits"))
    together = info.options.get("kept_together")
    notes = [f" Splits: {splits}." if splits else "", f" Kept together in a split: {together}." if together else ""]
    name = study.file("classes_of_data")
    yield Statement(
        f"{study.id}.data.rows",
        f"{sum(info.rows.values()):,} images, {whose}.{''.join(notes)}",
        data=f"{name}.csv",
    )
    counts: list[list[Cell]] = [
        [of_class, *(info.counts[split].get(of_class, 0) for split in SPLITS)] for of_class in info.classes
    ]
    shares = [info.counts["train"].get(of_class, 0) / max(info.rows["train"], 1) for of_class in info.classes]
    is_positive = info.kind == "multilabel"
    yield Table(
        name,
        "Images with each label" if is_positive else "Images of each class",
        ["label" if is_positive else "class", *SPLITS, "share of train"],
        [
            *([*row, share] for row, share in zip(counts, shares, strict=True)),
            ["all images", *(info.rows[split] for split in SPLITS), 1.0],
        ],
        shown=50,
    )


def _data_sets(study: StudyOnPage, info: DatasetInfo) -> Iterator[Block]:
    """Of joined data: the parts of each split."""
    datasets = info.options.get(DATASETS)
    if not datasets:
        return
    name, judged = study.file("data_sets"), info.options.get(VALIDATE_ON)
    so = f"Validation and test are of `{judged}` alone, training of all. " if judged else ""
    yield Statement(
        f"{study.id}.data.sets",
        f"{so}{len(datasets)} data sets were joined. Persons and videos of different files count as different ones; "
        "images were compared across all.",
        data=f"{name}.csv",
    )
    rows: list[list[Cell]] = [
        [each, str(of["source"]), *(of["rows"][split] for split in SPLITS)] for each, of in datasets.items()
    ]
    yield Table(name, "Images of each data set", ["data set", "from", *SPLITS], rows, shown=50)


def _rejects(study: StudyOnPage, info: DatasetInfo) -> Iterator[Block]:
    name = study.file("rejects")
    if not info.rejects:
        yield Statement(f"{study.id}.data.rejects", "No image was left out.")
        return
    number, total = len(info.rejects), len(info.rejects) + sum(info.rows.values())
    yield Statement(
        f"{study.id}.data.rejects",
        f"{number:,} of {total:,} images could not be used and were left out.",
        data=f"{name}.csv",
        is_warning=True,
    )
    rows = [[reject["row"], str(reject["reason"])] for reject in info.rejects]
    yield Table(name, "What was left out, and why", ["row", "reason"], rows, shown=FIRST)


def _leaks(study: StudyOnPage, info: DatasetInfo) -> Iterator[Block]:
    """Leaks that nobody allowed are near-duplicate images, so few that the audit let them pass."""
    assert study.prepared is not None, "there is `info`"
    id, name, leaks = f"{study.id}.data.leaks", study.file("leaks"), _read_leaks(study.prepared)
    if leaks is None:
        yield Statement(id, f"Whether splits share anything is not known: {LEAKS_FILE} is gone.", is_warning=True)
        return
    if not leaks:
        yield Statement(id, "No person, video or image is in two splits, as far as the audit can tell.")
        return
    counts = {words: sum(leak[0] == words for leak in leaks) for words in KINDS.values()}
    found = ", ".join(f"{words}: {count:,}" for words, count in counts.items() if count)
    are_allowed = bool(info.options.get("allow_leaks"))
    so = "scores may be too high" if are_allowed else "so few do not show in a score"
    with_test = sum("test" in (leak[1], leak[3]) for leak in leaks)
    yield Statement(
        id,
        f"{len(leaks):,} {'pair' if len(leaks) == 1 else 'pairs'} of rows in two splits share something ({found}), "
        f"{with_test:,} of them with test: {so}.",
        data=f"{name}.csv",
        is_warning=are_allowed,
    )
    columns = ["what", "split", "row", "other split", "its row", "detail"]
    yield Table(name, "What is in two splits", columns, leaks, shown=FIRST)


def _read_leaks(prepared: Path) -> list[list[str]] | None:
    """Its lines, with kinds in words; None where it is gone."""
    try:
        _, *lines = csv.reader((prepared / LEAKS_FILE).read_text().splitlines())
    except (OSError, ValueError):
        return None
    return [[KINDS.get(kind, kind), *rest] for kind, *rest in lines]
