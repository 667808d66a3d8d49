"""Celeb-DF v2 (Li et al. 2020). Its list of test videos counts 1 as real: labels come from the folders."""

from __future__ import annotations

from pathlib import PurePosixPath

from lssat.config import DataConfig
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, deepfake_task, numbered
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import (
    Tree,
    clips,
    entries_of,
    evenly_spaced,
    media_of,
    other_files,
    target_and_source,
)

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
TEST_LIST = "List_of_testing_videos.txt"


def listing(source: Source, data: DataConfig) -> Listing:
    """The official test videos; of the rest, a seeded part whose persons are in no other is val. Raises ConfigError."""
    classes, num_frames, tree = deepfake_task(data), source.num_frames(), Tree(source.path)
    media, folders = media_of(tree, {name: name for name in FOLDERS})
    tested, entries = _test_videos(tree)
    for method, folder in folders.items():
        for video, clip in clips(tree, folder, media).items():
            record = _record(method, video, tested)
            tested.pop(record.video, None)
            files = clip.files if media == "videos" else evenly_spaced(clip.files, num_frames)
            entries += entries_of(tree, folder, files, record)
        entries += other_files(tree, folder, media)
    entries += [Reject(name, tree.fault(name, "") or "not in a folder of this data set") for name in tested.values()]
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {"kind": "celebdf", "frames": num_frames, "splits": f"official test; {made}"}
    layout = Layout(media, crop=media == "videos", columns=("method",), options=options)
    return assemble(source.path, data, classes, entries, layout)


def _test_videos(tree: Tree) -> tuple[dict[str, str], Entries]:
    """Videos of the list, key -> name there; and the lines that name none."""
    tested: dict[str, str] = {}
    rejects: Entries = []
    for line_number, line in enumerate(tree.text(tree.need("list of test videos", TEST_LIST)).splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2:
            rejects.append(Reject(f"{TEST_LIST}:{line_number}", "line is not a label and a video"))
            continue
        key = PurePosixPath(parts[1]).with_suffix("").as_posix()
        if key in tested:
            rejects.append(Reject(parts[1], "listed twice"))
        tested.setdefault(key, parts[1])
    return tested, rejects


def _record(method: str, video: str, tested: dict[str, str]) -> Record:
    """What is known of a video before its files are: `id0_0001` and the fake `id0_id16_0001` show person id0.

    The persons of YouTube are known by their video alone.
    """
    key, label = f"{method}/{video}", FOLDERS[method]
    return Record(
        position=0,
        name="",
        label=label,
        identity=f"{method} {video}" if method == "YouTube-real" else video.split("_")[0],
        split="test" if key in tested else "train",
        video=key,
        columns=(method,),
        source=target_and_source(video)[1] if label else "",
    )
