"""AffectNet (Mollahosseini et al. 2019) in its three forms.

Labels are in npy files, in CSV files with face boxes, or in the names of folders.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from lssat.data.images import UnusableImage, resolve_inside
from lssat.data.parallel import chunks, in_processes
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, numbered, pick_classes
from lssat.data.sources.listing import Box, Entries, Listing, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import cut
from lssat.data.sources.tree import IMAGE_ENDINGS, Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

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
NUM_READ = 7  # of these columns, the first
IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
MOST_LABEL_BYTES = 4096
LABELS_AT_ONCE = 1024  # files that a process reads in one go
VAL_SHARE = 0.1


@dataclass
class _Rows:
    """What is left of the rows, and what the protocol drops of them."""

    classes: dict[str, int]  # emotion -> label
    entries: Entries = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    named: set[str] = field(default_factory=set)

    def add(self, name: str, split: str, expression: str, box: Box | None, fault: str) -> None:
        """Add one image; its expression is text still, and `fault` is what is wrong with its file.

        Labels are judged before files, because the protocol drops rows, whatever became of their files.
        """
        if name in self.named:
            self.entries.append(Reject(name, "listed twice"))
            return
        self.named.add(name)
        index = _whole_number(expression)
        if index is None:
            self.entries.append(Reject(name, f"label `{expression}` is not a whole number"))
        elif index in NO_EMOTION:
            self.dropped[NO_EMOTION[index]] += 1
        elif not 0 <= index < len(EMOTIONS):
            self.entries.append(Reject(name, f"label out of range: {index}"))
        elif EMOTIONS[index] not in self.classes:
            self.dropped[EMOTIONS[index]] += 1
        elif box is not None and box.right < box.left:
            self.dropped["no face box"] += 1
        elif fault:
            self.entries.append(Reject(name, fault))
        else:
            self.entries.append(Record(0, name, self.classes[EMOTIONS[index]], "", split, box=box))


def listing(source: Source, data: DataConfig) -> Listing:
    """Emotions of AffectNet. Its validation set is the test split; a stratified part of train, about as large, is val.

    Raises ConfigError.
    """
    if data.task != "emotion":
        raise ConfigError(f"`data.task` of `{data.source}` must be emotion, but got `{data.task}`; leave it out")
    num_classes = int(source.choice("classes", ("7", "8"), "8"))
    classes = pick_classes(EMOTIONS[:num_classes], data)
    rows = _Rows({name: index for index, name in enumerate(classes)})
    tree = Tree(source.path)
    form = _form(tree)
    READ[form](tree, rows)
    entries, val_share = _with_val(numbered(rows.entries), data.seed)
    options = {
        "kind": "affectnet",
        "form": form,
        "classes_of_protocol": num_classes,
        "dropped": dict(rows.dropped),
        "splits": f"val {val_share:.1%} of train",
    }
    layout = Layout("images", crop=form == "csv", columns=(), options=options)
    return assemble(source.path, data, ("binary" if len(classes) == 2 else "multiclass", classes), entries, layout)


def _form(tree: Tree) -> str:
    """The first form that the tree has. Raises ConfigError where it has none."""
    marks = {
        "npy": ("train_set", "val_set"),
        "csv": ("training.csv", "validation.csv"),
        "folders": ("train", "val"),
    }
    for form, names in marks.items():
        if tree.first(*names):
            return form
    raise ConfigError(
        f"`data.source`: `{tree.root}` is no AffectNet; it needs `train_set/images` and `val_set/images`, "
        "`training.csv` and `validation.csv`, or `train/0..7` and `val/0..7`"
    )


def _with_val(entries: Entries, seed: int) -> tuple[Entries, float]:
    """The entries with val cut out of train, and the share of train that it is."""
    count = Counter(entry.split for entry in entries if isinstance(entry, Record))
    share = min(VAL_SHARE, count["test"] / count["train"]) if count["train"] and count["test"] else VAL_SHARE
    return cut(entries, "train", {"train": 1 - share, "val": share}, seed)[0], share


def _read_npy(tree: Tree, rows: _Rows) -> None:
    for folder, split in (("train_set", "train"), ("val_set", "test")):
        image_folder = tree.need("images", f"{folder}/images")
        label_folder = tree.need("labels", f"{folder}/annotations")
        images = {PurePosixPath(name).stem: name for name in tree.files(image_folder)}
        labels = {
            PurePosixPath(name).stem.removesuffix("_exp"): name
            for name in tree.files(label_folder)
            if name.endswith("_exp.npy")
        }
        for name in tree.files(image_folder):
            if name != images[PurePosixPath(name).stem]:
                rows.entries.append(Reject(name, "another image has the same label file"))
        stems = sorted({*images, *labels})
        batches = chunks(map(labels.get, stems), LABELS_AT_ONCE)
        stored = chain.from_iterable(in_processes(partial(_stored_labels, tree.root), batches))
        for stem, (label, fault) in zip(stems, stored, strict=True):
            name = images.get(stem, f"{image_folder}/{stem}.jpg")
            if not fault:
                rows.add(name, split, label, None, tree.fault(name, image_folder))
            else:
                rows.entries.append(Reject(name, fault if _is_image(name) else "not an image file"))


def _stored_labels(root: Path, names: list[str | None]) -> list[tuple[str, str]]:
    return [_stored_label(root, name) for name in names]


def _stored_label(root: Path, name: str | None) -> tuple[str, str]:
    """The one value of a npy file as text, and "" or why there is none."""
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


def _read_csv(tree: Tree, rows: _Rows) -> None:
    folder = tree.first(*IMAGE_FOLDERS) or ""
    for table, split in (("training.csv", "train"), ("validation.csv", "test")):
        for line, cells in enumerate(_lines(tree, tree.need("table", table)), 1):
            if cells is None:
                rows.entries.append(Reject(f"{table}:{line}", "row without path, face box or expression"))
                continue
            name = f"{folder}/{cells[0]}" if folder and not cells[0].startswith("/") else cells[0]
            box = _box(cells[1:5])
            fault = tree.fault(name, folder)
            rows.add(name, split, cells[6], box, fault or ("" if box else "face box is not four numbers"))
    for name in tree.files(folder):
        if _is_image(name) and name not in rows.named:
            rows.entries.append(Reject(name, "no label for this file"))


def _lines(tree: Tree, name: str) -> Iterator[list[str] | None]:
    """Cells in the order of COLUMNS, whatever the header's order; None where a row is too short."""
    lines = [[cell.strip() for cell in row] for row in csv.reader(tree.text(name).splitlines()) if row]
    order = list(range(NUM_READ))
    if lines and COLUMNS[0] in lines[0]:
        header = lines.pop(0)
        absent = [column for column in COLUMNS[:NUM_READ] if column not in header]
        if absent:
            raise ConfigError(f"`data.source`: `{tree.root / name}` has no column `{absent[0]}`")
        order = [header.index(column) for column in COLUMNS[:NUM_READ]]
    for cells in lines:
        yield [cells[index] for index in order] if len(cells) > max(order) and cells[order[0]] else None


def _box(cells: list[str]) -> Box | None:
    try:
        left, top, width, height = map(float, cells)
    except ValueError:
        return None
    return Box(left, top, left + width, top + height) if all(map(math.isfinite, (left, top, width, height))) else None


def _read_folders(tree: Tree, rows: _Rows) -> None:
    for folder, split in (("train", "train"), ("val", "test")):
        tree.need("images", folder)
        for name in tree.files(folder):
            parts = PurePosixPath(name).parts
            if len(parts) < 3:
                rows.entries.append(Reject(name, "not in a folder of an expression"))
            else:
                fault = tree.fault(name, folder) or ("" if _is_image(name) else "not an image file")
                rows.add(name, split, parts[1], None, fault)


READ: dict[str, Callable[[Tree, _Rows], None]] = {"npy": _read_npy, "csv": _read_csv, "folders": _read_folders}


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def _whole_number(text: str) -> int | None:
    """`7` and `7.0` are 7."""
    if not re.fullmatch(r"[+-]?\d+(\.0*)?", text.strip()):
        return None
    return int(float(text))
