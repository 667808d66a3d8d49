"""FER2013 (Goodfellow et al. 2013): `fer2013.csv`, whose cells hold the pixels; and FER+ (Barsoum et al. 2016).

`fer2013new.csv` of FER+ has the votes of ten people for each row of `fer2013.csv`, in the same order. Its label is the
majority, by the rule of its owners: single votes do not count, and of the others more than half must agree. Rows
without a majority, unknown ones and those that show no face are left out. Nothing says who is on a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, pick_classes
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.published.affectnet import EMOTIONS as OF_AFFECTNET
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tables import Table
from lssat.data.sources.tree import Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import nearest

IMAGES, VOTES = "fer2013.csv", "fer2013new.csv"
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
OF_FER2013 = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral")
OF_FERPLUS = {
    "neutral": "Neutral",
    "happiness": "Happiness",
    "surprise": "Surprise",
    "sadness": "Sadness",
    "anger": "Anger",
    "disgust": "Disgust",
    "fear": "Fear",
    "contempt": "Contempt",
    "unknown": "",
    "NF": "",
}
"""Columns of votes -> emotion."""
NO_LABEL = {"unknown": "voted unknown", "NF": "voted not a face (NF)"}


def listing(source: Source, data: DataConfig) -> Listing:
    """Emotions in the order of AffectNet: seven of FER2013, eight of FER+. Official splits. Raises ConfigError."""
    if data.task != "emotion":
        raise ConfigError(f"`data.task` of `{data.source}` must be emotion, but got `{data.task}`; leave it out")
    by_votes, tree = source.kind == "ferplus", Tree(source.path)
    classes = pick_classes(OF_AFFECTNET if by_votes else OF_AFFECTNET[:7], data)
    images = tree.need("images", IMAGES, f"fer2013/{IMAGES}")
    usages, emotions = _columns(tree.root / images, ("Usage", "emotion"))
    labels = _voted(tree, usages) if by_votes else [_emotion(text) for text in emotions]
    entries: Entries = []
    for row, ((emotion, fault), usage) in enumerate(zip(labels, usages, strict=True)):
        fault = fault or ("" if usage in SPLITS else f"unknown usage `{usage}`")
        if fault:
            entries.append(Reject(f"{images}:{row + 2}", fault))
        elif emotion in classes:
            entries.append(Record(row, f"{images}:{row + 2}", classes.index(emotion), "", SPLITS[usage]))
    entries, made = complete_splits(entries, given_splits(entries), data.seed)
    options = {"kind": source.kind, "images": "pixels", "image_column": "pixels", "tables": [images], "splits": made}
    layout = Layout("table", crop=False, columns=(), options=options)
    return assemble(source.path, data, ("binary" if len(classes) == 2 else "multiclass", classes), entries, layout)


def _columns(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Columns of a CSV. Raises ConfigError where one is missing."""
    table = Table.of(path, ("pixels",))
    columns = table.columns
    for name in (*names, *(["pixels"] if path.name == IMAGES else [])):
        if name not in columns:
            hint = nearest(name, columns, "its columns are")
            raise ConfigError(f"`data.source`: `{path}` has no column `{name}`; {hint}")
    found = [table.texts(name) for name in names]
    if not found[0]:
        raise ConfigError(f"`data.source`: the table `{path}` has no rows")
    return found


def _emotion(text: str) -> tuple[str, str]:
    """The emotion of a number, or why there is none."""
    is_known = text.isdigit() and int(text) < len(OF_FER2013)
    return (OF_FER2013[int(text)], "") if is_known else ("", f"label out of range: {text}" if text else "empty label")


def _voted(tree: Tree, usages: list[str]) -> list[tuple[str, str]]:
    """The emotion that was voted for in each row, or why there is none. Raises ConfigError."""
    name = tree.need("votes", VOTES, f"fer2013/{VOTES}")
    own_usages, *votes = _columns(tree.root / name, ("Usage", *OF_FERPLUS))
    if own_usages != usages:
        differing = zip(own_usages, usages, strict=False)
        row = next(
            (row for row, (one, other) in enumerate(differing) if one != other), min(len(own_usages), len(usages))
        )
        raise ConfigError(
            f"`data.source`: line {row + 2} of `{tree.root / name}` is of another image than that of `{IMAGES}` "
            f"({len(own_usages)} and {len(usages)} rows); both must have the same rows in the same order: fetch them "
            "again"
        )
    return [_majority(cells) for cells in zip(*votes, strict=True)]


def _majority(cells: Sequence[str]) -> tuple[str, str]:
    """What more than half of the votes are for, single ones aside; or why nothing is."""
    if not all(cell.isdigit() for cell in cells):
        return "", "votes are not whole numbers"
    votes = [int(cell) if int(cell) > 1 else 0 for cell in cells]
    most = max(votes)
    if 2 * most <= sum(votes):
        tied = [name for name, count in zip(OF_FERPLUS, votes, strict=True) if count == most and most]
        return "", f"tie of votes: {', '.join(tied)}" if len(tied) > 1 else "no majority of votes"
    name = [*OF_FERPLUS][votes.index(most)]
    return OF_FERPLUS[name], NO_LABEL.get(name, "")
