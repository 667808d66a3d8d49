"""CelebA (Liu et al. 2015), aligned images: the text files of its owners, or the mirror that ships them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import Label, Reject
from lssat.data.sources.assemble import Entries, assemble, complete_splits, given_splits, numbered, refuse_classes
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.tree import IMAGE_ENDINGS, Tree
from lssat.nearest import nearest
from lssat.task import Kind

SPLITS = {"0": "train", "1": "val", "2": "test"}
FOLDERS = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
BITS = {"1": "1", "-1": "0"}


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Attributes of CelebA's images; every attribute is a column too. Raises ConfigError."""
    tree = Tree(root)
    attributes, rows = _attributes(tree)
    task = _task(attributes, data)
    wanted = [attributes.index(name) for name in (task[1] if task[0] == "multilabel" else (data.task,))]
    splits = _pairs(tree, "partition", "list_eval_partition")
    identities = _pairs(tree, "identities", "identity_CelebA") if _candidates(tree, "identity_CelebA") else {}
    folder = tree.need("images", *FOLDERS)
    entries: Entries = []
    named: set[str] = set()
    for short, values in rows:
        name = f"{folder}/{short}"
        reason = (
            "listed twice"
            if name in named
            else _fault(values, attributes, splits.get(short)) or tree.fault(name, folder)
        )
        named.add(name)
        if reason:
            entries.append(Reject(name, reason))
            continue
        bits = tuple(BITS[value] for value in values)
        label: Label = tuple(int(bits[index]) for index in wanted) if task[0] == "multilabel" else int(bits[wanted[0]])
        entries.append(Record(0, name, label, identities.get(short, ""), SPLITS[splits[short]], columns=bits))
    entries += [Reject(name, _stray(name)) for name in tree.files(folder) if name not in named]
    named.update(tree.files(folder))
    entries += [
        Reject(f"{folder}/{short}", "no label for this file") for short in splits if f"{folder}/{short}" not in named
    ]
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    return assemble(
        root,
        data,
        task,
        entries,
        media="images",
        crop=False,
        columns=attributes,
        options={"kind": "celeba", "splits": made},
        name=root.name,
    )


def _task(attributes: tuple[str, ...], data: DataConfig) -> tuple[Kind, tuple[str, ...]]:
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


def _fault(values: list[str], attributes: tuple[str, ...], split: str | None) -> str:
    if len(values) != len(attributes):
        return f"{len(values)} labels instead of {len(attributes)}"
    if not BITS.keys() >= set(values):
        odd = next((name, value) for name, value in zip(attributes, values, strict=True) if value not in BITS)
        return f"label {odd[0]} must be 1 or -1, but is `{odd[1]}`"
    if split is None:
        return "no split for this file"
    return "" if split in SPLITS else f"unknown split `{split}`"


def _stray(name: str) -> str:
    return "no label for this file" if name.lower().endswith(IMAGE_ENDINGS) else "not an image file"


def _attributes(tree: Tree) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """Attribute names, and (file, values) of each row."""
    name = tree.need("attributes", *_places("list_attr_celeba"))
    lines = list(_lines(tree, name))
    head = 0 if name.endswith(".csv") else 1  # the text file begins with the number of its rows
    if len(lines) <= head + 1:
        raise ConfigError(f"`data.source`: `{tree.root / name}` has no rows; fetch it again")
    names = lines[head][1:] if name.endswith(".csv") else lines[head]
    return tuple(names), [(line[0], line[1:]) for line in lines[head + 1 :]]


def _pairs(tree: Tree, what: str, stem: str) -> dict[str, str]:
    name = tree.need(what, *_places(stem))
    lines = _lines(tree, name)
    if name.endswith(".csv"):
        next(lines, None)  # its header
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def _places(stem: str) -> list[str]:
    return [f"{folder}{stem}{ending}" for ending in (".txt", ".csv") for folder in ("", "Anno/", "Eval/")]


def _candidates(tree: Tree, stem: str) -> str | None:
    return tree.first(*_places(stem))


def _lines(tree: Tree, name: str) -> Iterator[list[str]]:
    """Cells of each line that has any."""
    lines = tree.text(name).splitlines()
    rows = (
        ([cell.strip() for cell in row] for row in csv.reader(lines))
        if name.endswith(".csv")
        else (line.split() for line in lines)
    )
    return (row for row in rows if row)
