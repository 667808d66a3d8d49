"""DFDC (Dolhansky et al. 2020): training parts with a metadata.json each, and a test set with labels.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Entries, assemble, complete_splits, deepfake_task, given_splits, numbered
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.source import frames_of
from lssat.data.sources.tree import VIDEO_ENDINGS, Clip, Tree, clips, media_of, spaced

LABELS = {"REAL": 0, "FAKE": 1, "0": 0, "1": 1}


class _Row(NamedTuple):
    part: str
    video: str
    label: Any
    original: str
    split: str


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Videos of all parts. A fake and its original are one group, which no split made here cuts in two. Raises
    ConfigError.
    """
    task, frames, tree = deepfake_task(data), frames_of(options), Tree(root)
    rows = [*_metadata(tree), *_labels(tree)]
    if not rows:
        raise ConfigError(f"`data.source`: `{root}` is no DFDC; it needs `<part>/metadata.json` or `labels.csv`")
    media, places = media_of(tree, {row.part: row.part or "." for row in rows})
    found = {part: clips(tree, _plain(folder), media) for part, folder in places.items()}
    both = len({row.split for row in rows}) > 1
    entries: Entries = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        folder, stem = _plain(places[row.part]), row.video.rpartition(".")[0] or row.video
        name = f"{folder}/{row.video}".removeprefix("/") if media == "videos" else f"{folder}/{stem}"
        clip = found[row.part].get(stem, Clip(stem, []))
        reason = (
            "listed twice"
            if (row.part, stem) in seen
            else ""
            if row.label in LABELS
            else f"label `{row.label}` is neither real nor fake"
        )
        files = [name] if media == "videos" or not clip.files else spaced(clip.files, frames)
        if reason or (row.part, stem) in seen:
            entries.append(Reject(name, reason))
        for file in [] if reason else files:
            fault = tree.fault(file, folder)
            key = f"{row.part}/{stem}".removeprefix("/")
            record = Record(
                0,
                file,
                LABELS.get(row.label, 0),
                row.original or row.video,
                row.split if both else "",
                key,
                None,
                (row.part,),
            )
            entries.append(Reject(file, fault) if fault else record)
        seen.add((row.part, stem))
    for part, videos in found.items():
        entries += [
            Reject(file, "no label for this file")
            for stem, clip in videos.items()
            if (part, stem) not in seen
            for file in clip.files
        ]
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    recorded = {"kind": "dfdc", "frames": frames, "splits": made}
    return assemble(
        root,
        data,
        task,
        entries,
        media=media,
        crop=media == "videos",
        columns=("part",),
        options=recorded,
        name=root.name,
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


def _plain(folder: str) -> str:
    return folder.removeprefix("./").removeprefix(".")
