"""DFDC (Dolhansky et al. 2020): training parts with a metadata.json each, and a test set with labels.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, deepfake_task, numbered
from lssat.data.sources.listing import Entries, Listing, Media, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import VIDEO_ENDINGS, Clip, Tree, clips, entries_of, evenly_spaced, media_of
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

LABELS = {"REAL": 0, "FAKE": 1, "0": 0, "1": 1}


class _Row(NamedTuple):
    """What the tables say of one video. `part` is the folder it is in; `original`: of a fake, where it is known."""

    part: str
    video: str
    label: str
    original: str
    split: str

    @property
    def stem(self) -> str:
        """The video's name without its ending."""
        return self.video.rpartition(".")[0] or self.video


def listing(source: Source, data: DataConfig) -> Listing:
    """Videos of all parts. A fake and its original are one group, which no split made here divides.

    Raises ConfigError.
    """
    classes, num_frames, tree = deepfake_task(data), source.num_frames(), Tree(source.path)
    rows = [*_metadata(tree), *_labels(tree)]
    if not rows:
        raise ConfigError(f"`data.source`: `{tree.root}` is no DFDC; it needs `<part>/metadata.json` or `labels.csv`")
    media, found = media_of(tree, {row.part: row.part or "." for row in rows})
    folders = {part: folder.removeprefix("./").removeprefix(".") for part, folder in found.items()}
    entries = _entries(tree, rows, media, folders, num_frames)
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {"kind": "dfdc", "frames": num_frames, "splits": made}
    layout = Layout(media, crop=media == "videos", columns=("part",), options=options)
    return assemble(tree.root, data, classes, entries, layout)


def _entries(tree: Tree, rows: list[_Row], media: Media, folders: dict[str, str], num_frames: int) -> Entries:
    """The files of every row, or why it has none; then the files that no row names. `folders`: of each part."""
    has_both_splits = len({row.split for row in rows}) > 1
    found = {part: clips(tree, folder, media) for part, folder in folders.items()}
    entries: Entries = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        folder = folders[row.part]
        video = row.video if media == "videos" else row.stem
        name = f"{folder}/{video}".removeprefix("/")
        frames = found[row.part].get(row.stem, Clip(row.stem)).files
        if (row.part, row.stem) in seen:
            entries.append(Reject(name, "listed twice"))
        elif row.label not in LABELS:
            entries.append(Reject(name, f"label `{row.label}` is neither real nor fake"))
        else:
            files = [name] if media == "videos" or not frames else evenly_spaced(frames, num_frames)
            entries += entries_of(tree, folder, files, _record(row, row.split if has_both_splits else ""))
        seen.add((row.part, row.stem))
    for part, videos in found.items():
        unnamed = [clip for stem, clip in videos.items() if (part, stem) not in seen]
        entries += [Reject(file, "no label for this file") for clip in unnamed for file in clip.files]
    return entries


def _record(row: _Row, split: str) -> Record:
    return Record(
        position=0,
        name="",
        label=LABELS[row.label],
        identity=row.original or row.video,
        split=split,
        video=f"{row.part}/{row.stem}".removeprefix("/"),
        columns=(row.part,),
    )


def _metadata(tree: Tree) -> Iterator[_Row]:
    for path in sorted([*tree.root.glob("metadata.json"), *tree.root.glob("*/metadata.json")]):
        part = path.parent.relative_to(tree.root).as_posix().removeprefix(".")
        name = path.relative_to(tree.root).as_posix()
        content = tree.json(name)
        if not isinstance(content, dict):
            raise ConfigError(f"`data.source`: `{path}` must map videos to their labels; fetch it again")
        for video, entry in content.items():
            entry = entry if isinstance(entry, dict) else {}
            yield _Row(part, video, str(entry.get("label")), str(entry.get("original") or ""), "train")


def _labels(tree: Tree) -> Iterator[_Row]:
    for path in sorted([*tree.root.glob("labels.csv"), *tree.root.glob("*/labels.csv")]):
        part = path.parent.relative_to(tree.root).as_posix().removeprefix(".")
        for row in csv.reader(tree.text(path.relative_to(tree.root).as_posix()).splitlines()):
            if row and row[0].strip().lower().endswith(VIDEO_ENDINGS):
                yield _Row(part, row[0].strip(), row[1].strip() if len(row) > 1 else "", "", "test")
