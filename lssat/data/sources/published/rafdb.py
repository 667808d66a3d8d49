"""RAF-DB, its basic emotions (Li et al. 2017): aligned images and `EmoLabel/list_patition_label.txt`.

The misspelling is its owners'. What is train and what test is said by the prefix of each name; nothing says who is on a
photo. Other forms, such as the images that are not aligned, are unknown here.
"""

from __future__ import annotations

from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, numbered, pick_classes
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.published.affectnet import EMOTIONS as OF_AFFECTNET
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import Tree
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

LISTS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
IMAGES = "Image/aligned"
NAMES = {
    "1": "Surprise",
    "2": "Fear",
    "3": "Disgust",
    "4": "Happiness",
    "5": "Sadness",
    "6": "Anger",
    "7": "Neutral",
}
EMOTIONS = OF_AFFECTNET[:7]
"""In the order of AffectNet, so that both may be one study."""
SPLITS = ("train", "test")


def listing(source: Source, data: DataConfig) -> Listing:
    """Seven emotions. The official test split; a part of train is val. Raises ConfigError."""
    if data.task != "emotion":
        raise ConfigError(f"`data.task` of `{data.source}` must be emotion, but got `{data.task}`; leave it out")
    classes = pick_classes(EMOTIONS, data)
    tree = Tree(source.path)
    base = "basic/" if tree.first(*(f"basic/{name}" for name in LISTS)) else ""
    labels = tree.need("labels", *(f"{base}{name}" for name in LISTS))
    entries = _entries(tree, labels, tree.need("images", f"{base}{IMAGES}"), classes)
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {"kind": "rafdb", "splits": f"official test; {made}"}
    layout = Layout("images", crop=False, columns=(), options=options)
    return assemble(source.path, data, ("binary" if len(classes) == 2 else "multiclass", classes), entries, layout)


def _entries(tree: Tree, labels: str, folder: str, classes: tuple[str, ...]) -> Entries:
    """A record or reject for every line of the list, then rejects for the files that it does not name."""
    entries: Entries = []
    named: set[str] = set()
    for number, line in enumerate(tree.text(labels).splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 2:
            entries.append(Reject(f"{labels}:{number}", "line is not a file and a label"))
            continue
        stem, _, ending = cells[0].rpartition(".")
        name, split = f"{folder}/{stem}_aligned.{ending}", stem.partition("_")[0]
        fault = (
            ("listed twice" if name in named else "")
            or ("" if cells[1] in NAMES else f"label out of range: {cells[1]}")
            or ("" if split in SPLITS else f"unknown split `{split}`")
        )
        named.add(name)
        if not fault and NAMES[cells[1]] not in classes:
            continue  # not among `data.classes`
        fault = fault or tree.fault(name, folder)
        entries.append(Reject(name, fault) if fault else Record(0, name, classes.index(NAMES[cells[1]]), "", split))
    entries += [Reject(name, "no label for this file") for name in tree.files(folder) if name not in named]
    return entries
