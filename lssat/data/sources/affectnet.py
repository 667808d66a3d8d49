"""AffectNet (Mollahosseini et al. 2019) in its three forms: labels in npy files, in CSV files with face boxes, or in
folders.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from lssat.config import ConfigError, DataConfig
from lssat.data.images import UnusableImage, resolve_inside
from lssat.data.parallel import chunks, in_processes
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Entries, assemble, cut, numbered, pick_classes
from lssat.data.sources.listing import Box, Listing, Record
from lssat.data.sources.source import choice
from lssat.data.sources.tree import IMAGE_ENDINGS, Tree
from lssat.task import Kind

EMOTIONS = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
NO_EMOTION = {8: "None", 9: "Uncertain", 10: "No-Face"}
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
MOST_LABEL_BYTES = 4096
LABELS_AT_ONCE = 1024  # files that a process reads in one go
VAL_SHARE = 0.1


@dataclass
class _Found:
    """What is left of the rows, and what the protocol drops of them."""

    kept: dict[str, int]  # emotion -> label
    entries: Entries = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    named: set[str] = field(default_factory=set)

    def add(self, name: str, split: str, expression: str, box: Box | None, fault: str) -> None:
        """One image; its expression still as text. Labels are judged before files, as the protocol drops rows, not
        files.
        """
        if name in self.named:
            self.entries.append(Reject(name, "listed twice"))
            return
        self.named.add(name)
        number = _number(expression)
        reason = "" if number is not None else f"label `{expression}` is not a whole number"
        if number is not None and number in NO_EMOTION:
            self.dropped[NO_EMOTION[number]] += 1
        elif number is not None and not 0 <= number < len(EMOTIONS):
            self.entries.append(Reject(name, f"label out of range: {number}"))
        elif number is not None and EMOTIONS[number] not in self.kept:
            self.dropped[EMOTIONS[number]] += 1
        elif number is not None and box is not None and box.right < box.left:
            self.dropped["no face box"] += 1
        elif reason or fault or number is None:
            self.entries.append(Reject(name, reason or fault))
        else:
            self.entries.append(Record(0, name, self.kept[EMOTIONS[number]], "", split, box=box))


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Emotions of AffectNet. Its validation set is the test split; a stratified part of train, about as large, is val.
    Raises ConfigError.
    """
    if data.task != "emotion":
        raise ConfigError(f"`data.task` of `{data.source}` must be emotion, but got `{data.task}`; leave it out")
    number = choice(options, "classes", ("7", "8"), "8")
    classes = pick_classes(EMOTIONS[: int(number)], data)
    found = _Found({name: index for index, name in enumerate(classes)})
    tree = Tree(root)
    forms = {
        "npy": tree.first("train_set", "val_set"),
        "csv": tree.first("training.csv", "validation.csv"),
        "folders": tree.first("train", "val"),
    }
    form = next((name for name, there in forms.items() if there), None)
    if form is None:
        raise ConfigError(
            f"`data.source`: `{root}` is no AffectNet; it needs `train_set/images` and `val_set/images`, "
            "`training.csv` and `validation.csv`, or `train/0..7` and `val/0..7`"
        )
    {"npy": _read_npy, "csv": _read_csv, "folders": _read_folders}[form](tree, found)
    entries, share = _with_val(numbered(found.entries), data.seed)
    made = {
        "kind": "affectnet",
        "form": form,
        "classes_of_protocol": int(number),
        "dropped": dict(found.dropped),
        "splits": f"val {share:.1%} of train",
    }
    kind: Kind = "binary" if len(classes) == 2 else "multiclass"
    return assemble(
        root,
        data,
        (kind, classes),
        entries,
        media="images",
        crop=form == "csv",
        columns=(),
        options=made,
        name=root.name,
    )


def _with_val(entries: Entries, seed: int) -> tuple[Entries, float]:
    count = Counter(entry.split for entry in entries if isinstance(entry, Record))
    share = min(VAL_SHARE, count["test"] / count["train"]) if count["train"] and count["test"] else VAL_SHARE
    return cut(entries, "train", {"train": 1 - share, "val": share}, seed)[0], share


def _read_npy(tree: Tree, found: _Found) -> None:
    for folder, split in (("train_set", "train"), ("val_set", "test")):
        tree.need("images", f"{folder}/images"), tree.need("labels", f"{folder}/annotations")
        images = {PurePosixPath(name).stem: name for name in tree.files(f"{folder}/images")}
        labels = {
            PurePosixPath(name).stem.removesuffix("_exp"): name
            for name in tree.files(f"{folder}/annotations")
            if name.endswith("_exp.npy")
        }
        for name in tree.files(f"{folder}/images"):
            if name != images[PurePosixPath(name).stem]:
                found.entries.append(Reject(name, "another image has the same label file"))
        stems = sorted({*images, *labels})
        read = chain.from_iterable(
            in_processes(partial(_stored_labels, tree.root), chunks(map(labels.get, stems), LABELS_AT_ONCE))
        )
        for stem, (label, reason) in zip(stems, read, strict=True):
            name = images.get(stem, f"{folder}/images/{stem}.jpg")
            if reason:
                found.entries.append(
                    Reject(name, reason if name.lower().endswith(IMAGE_ENDINGS) else "not an image file")
                )
            else:
                found.add(name, split, label, None, tree.fault(name, f"{folder}/images"))


def _stored_labels(root: Path, names: list[str | None]) -> list[tuple[str, str]]:
    return [_stored_label(root, name) for name in names]


def _stored_label(root: Path, name: str | None) -> tuple[str, str]:
    """The one value of a npy file as text, or why there is none."""
    if name is None:
        return "", "no label for this file"
    try:
        with resolve_inside(root, name).open("rb") as file:
            data = file.read(MOST_LABEL_BYTES + 1)
        value = np.load(io.BytesIO(data), allow_pickle=False)
        if len(data) > MOST_LABEL_BYTES or not isinstance(value, np.ndarray) or value.size != 1:
            return "", "label file does not hold one value"
        cell = value.reshape(-1)[0]
        return (cell.decode("ascii") if isinstance(cell, bytes) else str(cell)), ""
    except UnusableImage as error:
        return "", f"label file: {error}"
    except Exception as error:  # a damaged header raises nearly anything
        return "", f"damaged label file: {type(error).__name__}"


def _read_csv(tree: Tree, found: _Found) -> None:
    folder = tree.first(*IMAGE_FOLDERS) or ""
    for table, split in (("training.csv", "train"), ("validation.csv", "test")):
        for number, cells in enumerate(_rows(tree, tree.need("table", table)), 1):
            if cells is None:
                found.entries.append(Reject(f"{table}:{number}", "row without path, face box or expression"))
                continue
            name = f"{folder}/{cells[0]}" if folder and not cells[0].startswith("/") else cells[0]
            box = _box(cells[1:5])
            fault = tree.fault(name, folder)
            found.add(name, split, cells[6], box, fault or ("" if box else "face box is not four numbers"))
    for name in tree.files(folder):
        if name.lower().endswith(IMAGE_ENDINGS) and name not in found.named:
            found.entries.append(Reject(name, "no label for this file"))


def _rows(tree: Tree, name: str) -> Iterator[list[str] | None]:
    """Cells in the order of COLUMNS, whatever the header's order; None where a row is too short."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(tree.text(name).splitlines()) if row]
    order = list(range(len(COLUMNS)))
    if rows and COLUMNS[0] in rows[0]:
        header = rows.pop(0)
        absent = [column for column in COLUMNS[:7] if column not in header]
        if absent:
            raise ConfigError(f"`data.source`: `{tree.root / name}` has no column `{absent[0]}`")
        order = [header.index(column) for column in COLUMNS[:7]]
    for row in rows:
        yield [row[index] for index in order[:7]] if len(row) > max(order[:7]) and row[order[0]] else None


def _box(cells: list[str]) -> Box | None:
    try:
        left, top, width, height = map(float, cells)
    except ValueError:
        return None
    return Box(left, top, left + width, top + height) if all(map(math.isfinite, (left, top, width, height))) else None


def _read_folders(tree: Tree, found: _Found) -> None:
    for folder, split in (("train", "train"), ("val", "test")):
        tree.need("images", folder)
        for name in tree.files(folder):
            parts = PurePosixPath(name).parts
            if len(parts) < 3:
                found.entries.append(Reject(name, "not in a folder of an expression"))
            else:
                found.add(
                    name,
                    split,
                    parts[1],
                    None,
                    tree.fault(name, folder) or ("" if name.lower().endswith(IMAGE_ENDINGS) else "not an image file"),
                )


def _number(text: str) -> int | None:
    if not re.fullmatch(r"[+-]?\d+(\.0*)?", text.strip()):
        return None
    return int(float(text))
