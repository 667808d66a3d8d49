"""Celeb-DF v2 (Li et al. 2020). Its list of test videos counts 1 as real: labels come from the folders."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lssat.config import DataConfig
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Entries, assemble, complete_splits, deepfake_task, given_splits, numbered
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.source import frames_of
from lssat.data.sources.tree import Tree, clips, media_of, people, spaced, strangers

FOLDERS = {"Celeb-real": 0, "YouTube-real": 0, "Celeb-synthesis": 1}
TEST_LIST = "List_of_testing_videos.txt"


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """The official test videos; of the rest, a seeded part whose persons are in no other is val. Raises ConfigError."""
    task, frames, tree = deepfake_task(data), frames_of(options), Tree(root)
    media, places = media_of(tree, {name: name for name in FOLDERS})
    tested, entries = _test_videos(tree)
    for method, folder in places.items():
        for video, clip in clips(tree, folder, media).items():
            key = f"{method}/{video}"
            split = "test" if key in tested else "train"
            tested.pop(key, None)
            source = people(video)[1] if FOLDERS[method] else ""
            record = Record(0, "", FOLDERS[method], _identity(method, video), split, key, None, (method,), source)
            for name in clip.files if media == "videos" else spaced(clip.files, frames):
                reason = tree.fault(name, folder)
                entries.append(Reject(name, reason) if reason else record._replace(name=name))
        entries += [
            Reject(name, tree.fault(name, folder) or "not a video or frame") for name in strangers(tree, folder, media)
        ]
    entries += [Reject(name, tree.fault(name, "") or "not in a folder of this data set") for name in tested.values()]
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    recorded = {"kind": "celebdf", "frames": frames, "splits": f"official test; {made}"}
    return assemble(
        root,
        data,
        task,
        entries,
        media=media,
        crop=media == "videos",
        columns=("method",),
        options=recorded,
        name=root.name,
    )


def _test_videos(tree: Tree) -> tuple[dict[str, str], Entries]:
    """Videos of the list, key -> name there; and the lines that name none."""
    tested: dict[str, str] = {}
    rejects: Entries = []
    for number, line in enumerate(tree.text(tree.need("list of test videos", TEST_LIST)).splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2:
            rejects.append(Reject(f"{TEST_LIST}:{number}", "line is not a label and a video"))
            continue
        key = PurePosixPath(parts[1]).with_suffix("").as_posix()
        if key in tested:
            rejects.append(Reject(parts[1], "listed twice"))
        tested.setdefault(key, parts[1])
    return tested, rejects


def _identity(method: str, video: str) -> str:
    """`id0_0001` and the fake `id0_id16_0001` show person id0; those of YouTube are known by their video alone."""
    return video.split("_")[0] if method != "YouTube-real" else f"{method} {video}"
