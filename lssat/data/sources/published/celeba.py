"""CelebA (Liu et al. 2015), aligned images: the text files of its owners, or the mirror that ships them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from lssat.data.prepared.table import Label, Reject
from lssat.data.sources.assemble import Classes, Layout, assemble, numbered, refuse_classes
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import IMAGE_ENDINGS, Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import nearest

SPLITS = {"0": "train", "1": "val", "2": "test"}
FOLDERS = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
BITS = {"1": "1", "-1": "0"}


@dataclass(frozen=True)
class _Tables:
    """What the tables say. `rows`: file -> its values, in the order of the table; `splits`, `identities`: by file."""

    attributes: tuple[str, ...]
    rows: list[tuple[str, list[str]]]
    splits: dict[str, str]
    identities: dict[str, str]


def listing(source: Source, data: DataConfig) -> Listing:
    """Attributes of CelebA's images; every attribute is a column too. Raises ConfigError."""
    tree = Tree(source.path)
    attributes, rows = _attributes(tree)
    classes = _classes(attributes, data)
    splits = _pairs(tree, "partition", "list_eval_partition")
    has_identities = tree.first(*_candidates("identity_CelebA")) is not None
    identities = _pairs(tree, "identities", "identity_CelebA") if has_identities else {}
    names = classes[1] if classes[0] == "multilabel" else (data.task.strip(),)
    entries = _entries(tree, _Tables(attributes, rows, splits, identities), names, classes[0] == "multilabel")
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    layout = Layout("images", crop=False, columns=attributes, options={"kind": "celeba", "splits": made})
    return assemble(source.path, data, classes, entries, layout)


def _classes(attributes: tuple[str, ...], data: DataConfig) -> Classes:
    """One attribute is a binary task, several are a multi-label one. Raises ConfigError."""
    refuse_classes(data)
    if data.task == "attributes":
        return "multilabel", attributes
    names = tuple(name.strip() for name in data.task.split(","))
    for name in names:
        if name not in attributes:
            hint = nearest(name, ["attributes", *attributes])
            raise ConfigError(
                f"`data.task` of `{data.source}` must be attributes (all of them) or names of attributes, but got "
                f"`{name}`; {hint}"
            )
        if names.count(name) > 1:
            raise ConfigError(f"`data.task` names the attribute `{name}` twice: {data.task}")
    return ("binary", ("0", "1")) if len(names) == 1 else ("multilabel", names)


def _entries(tree: Tree, tables: _Tables, wanted: tuple[str, ...], several: bool) -> Entries:
    """A record or reject for every row of the tables, then rejects for files and splits without a row.

    wanted: the attributes that are the label; `several`: of a multi-label task.
    """
    folder = tree.need("images", *FOLDERS)
    indices = [tables.attributes.index(name) for name in wanted]
    entries: Entries = []
    named: set[str] = set()
    for file, values in tables.rows:
        name = f"{folder}/{file}"
        fault = "listed twice" if name in named else _fault(values, tables, file) or tree.fault(name, folder)
        named.add(name)
        if fault:
            entries.append(Reject(name, fault))
            continue
        bits = tuple(BITS[value] for value in values)
        label: Label = tuple(int(bits[index]) for index in indices) if several else int(bits[indices[0]])
        split = SPLITS[tables.splits[file]]
        entries.append(Record(0, name, label, tables.identities.get(file, ""), split, columns=bits))
    files = tree.files(folder)
    entries += [Reject(name, _unnamed(name)) for name in files if name not in named]
    named.update(files)
    split_names = (f"{folder}/{file}" for file in tables.splits)
    entries += [Reject(name, "no label for this file") for name in split_names if name not in named]
    return entries


def _fault(values: list[str], tables: _Tables, file: str) -> str:
    """What is wrong with a row, "" for nothing."""
    if len(values) != len(tables.attributes):
        return f"{len(values)} labels instead of {len(tables.attributes)}"
    if not BITS.keys() >= set(values):
        pairs = zip(tables.attributes, values, strict=True)
        name, wrong = next((name, value) for name, value in pairs if value not in BITS)
        return f"label {name} must be 1 or -1, but is `{wrong}`"
    split = tables.splits.get(file)
    if split is None:
        return "no split for this file"
    return "" if split in SPLITS else f"unknown split `{split}`"


def _unnamed(name: str) -> str:
    return "no label for this file" if name.lower().endswith(IMAGE_ENDINGS) else "not an image file"


def _attributes(tree: Tree) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """Attribute names, and (file, values) of each row."""
    name = tree.need("attributes", *_candidates("list_attr_celeba"))
    lines = list(_lines(tree, name))
    head = 0 if name.endswith(".csv") else 1  # the text file begins with the number of its rows
    if len(lines) <= head + 1:
        raise ConfigError(f"`data.source`: `{tree.root / name}` has no rows; fetch it again")
    names = lines[head][1:] if name.endswith(".csv") else lines[head]
    return tuple(names), [(line[0], line[1:]) for line in lines[head + 1 :]]


def _pairs(tree: Tree, what: str, stem: str) -> dict[str, str]:
    """File -> value of a table of two columns."""
    name = tree.need(what, *_candidates(stem))
    lines = _lines(tree, name)
    if name.endswith(".csv"):
        next(lines, None)  # its header
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def _candidates(stem: str) -> list[str]:
    return [f"{folder}{stem}{ending}" for ending in (".txt", ".csv") for folder in ("", "Anno/", "Eval/")]


def _lines(tree: Tree, name: str) -> Iterator[list[str]]:
    """Cells of each line that has any."""
    lines = tree.text(name).splitlines()
    rows = (
        ([cell.strip() for cell in row] for row in csv.reader(lines))
        if name.endswith(".csv")
        else (line.split() for line in lines)
    )
    return (row for row in rows if row)
