"""FairFace (Karkkainen and Joo 2021): `fairface_label_{train,val}.csv` beside `train/` and `val/`.

Its val is the test split. Nothing says who is on a photo. The two paddings that it is published with have the same
tables, so that either may be given.
"""

from __future__ import annotations

import csv
import re

from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, numbered, pick_classes
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

TABLES = {"train": "fairface_label_train.csv", "val": "fairface_label_val.csv"}
SPLITS = {"train": "train", "val": "test"}
TASKS = ("age", "gender", "race")
COLUMNS = (*TASKS, "service_test")


def listing(source: Source, data: DataConfig) -> Listing:
    """One of age group, gender and race; all of them are columns. Raises ConfigError."""
    if data.task not in TASKS:
        hint = nearest(data.task, TASKS)
        raise ConfigError(
            f"`data.task` of `{data.source}` must be one of {listed(TASKS)}, but got `{data.task}`; {hint}"
        )
    tree, index = Tree(source.path), COLUMNS.index(data.task)
    rows = {folder: _rows(tree, table) for folder, table in TABLES.items()}
    found = {cells[1 + index] for lines in rows.values() for cells in lines if len(cells) == 5} - {""}
    classes = pick_classes(sorted(found, key=_rank), data)
    label_of = {name: position for position, name in enumerate(classes)}
    entries: Entries = []
    for folder, lines in rows.items():
        entries += _entries(tree, folder, lines, (index, label_of, found))
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {"kind": "fairface", "splits": f"val is the test split; {made}"}
    layout = Layout("images", crop=False, columns=COLUMNS, options=options)
    return assemble(source.path, data, ("binary" if len(classes) == 2 else "multiclass", classes), entries, layout)


def _rows(tree: Tree, table: str) -> list[list[str]]:
    """The cells of each row, in the order file, age, gender, race, service_test. Raises ConfigError."""
    lines = [[cell.strip() for cell in row] for row in csv.reader(tree.text(tree.need("labels", table)).splitlines())]
    header = lines[0] if lines else []
    for name in ("file", *COLUMNS):
        if name not in header:
            hint = nearest(name, header, "its columns are") if header else "it is empty"
            raise ConfigError(f"`data.source`: `{tree.root / table}` has no column `{name}`; {hint}")
    order = [header.index(name) for name in ("file", *COLUMNS)]
    return [[row[index] for index in order] if len(row) == len(header) else row[:1] for row in lines[1:] if row]


def _entries(tree: Tree, folder: str, lines: list[list[str]], labels: tuple[int, dict[str, int], set[str]]) -> Entries:
    """A record or reject for every row of a table, then rejects for the files that it does not name.

    labels: which of COLUMNS is learnt, the classes that are kept, and those there are.
    """
    index, label_of, found = labels
    entries: Entries = []
    named: set[str] = set()
    for cells in lines:
        name = cells[0]
        fault = "listed twice" if name in named else "" if len(cells) == 5 else "row without age, gender, race"
        named.add(name)
        label = "" if fault else cells[1 + index]
        if not fault and label in found and label not in label_of:
            continue  # not among `data.classes`
        fault = fault or ("" if label else "empty label") or _place(name, folder) or tree.fault(name, folder)
        columns = tuple(cells[1:])
        entries.append(
            Reject(name, fault) if fault else Record(0, name, label_of[label], "", SPLITS[folder], columns=columns)
        )
    entries += [Reject(name, "no label for this file") for name in tree.files(folder) if name not in named]
    return entries


def _place(name: str, folder: str) -> str:
    return "" if name.startswith(f"{folder}/") else f"not in the folder `{folder}` of its table"


def _rank(name: str) -> tuple[float, str]:
    """Groups of age by the number that they begin with: `3-9` before `10-19`, `more than 70` last."""
    number = re.match(r"\d+", name)
    return (float(number[0]) if number else float("inf"), name)
