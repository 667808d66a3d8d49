"""Celeb-DF v2 (Li et al. 2020) and Celeb-DF++ (Li et al. 2025), whose fakes are of three scenarios and many methods.

The list of test videos counts 1 as real: labels come from the folders. How the fakes of Celeb-DF++ are called is not
said by its owners: a fake whose name does not begin with the person that it shows (`id0_...`), or with a video of
YouTube-real, is left out.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

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
)
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed

REAL, YOUTUBE, SYNTHESIS = "Celeb-real", "YouTube-real", "Celeb-synthesis"
SCENARIOS = ("FaceSwap", "FaceReenact", "TalkingFace")
TEST_LIST = "List_of_testing_videos.txt"
PERSON = re.compile(r"(?P<target>id\d+)(?:_(?P<source>id\d+))?(?=_|$)|(?P<video>\d+)(?=_|$)")
"""How names of videos begin: `id0_0001`, the fake `id0_id16_0001`, or `00001`, whose person is known by it alone."""


class _Folder(NamedTuple):
    """Videos of one origin. `columns`: of the fakes among them."""

    path: str
    is_fake: bool
    columns: tuple[str, ...]


def listing(source: Source, data: DataConfig) -> Listing:
    """Celeb-DF v2, with the one method of its time. Raises ConfigError."""
    folders = [_Folder(REAL, False, ("",)), _Folder(YOUTUBE, False, ("",)), _Folder(SYNTHESIS, True, (SYNTHESIS,))]
    return _listing(source, data, folders, ("method",))


def listing_of_scenarios(source: Source, data: DataConfig) -> Listing:
    """Celeb-DF++: a folder per scenario of forgery, and in it one per method. Raises ConfigError."""
    root = source.path / SYNTHESIS
    found = sorted(item.name for item in root.iterdir() if item.is_dir()) if root.is_dir() else []
    if not found or not {*found} <= {*SCENARIOS}:
        raise ConfigError(
            f"`data.source`: `{root}` must hold folders of scenarios, {listed(SCENARIOS)}, with a folder per method in "
            f"each, but holds {listed(found) or 'none'}; fetch Celeb-DF++ again, or name Celeb-DF v2 by `celebdf:`"
        )
    folders = [_Folder(REAL, False, ("", "")), _Folder(YOUTUBE, False, ("", ""))]
    for scenario in found:
        methods = sorted(item.name for item in (root / scenario).iterdir() if item.is_dir())
        folders += [_Folder(f"{SYNTHESIS}/{scenario}/{method}", True, (method, scenario)) for method in methods]
    return _listing(source, data, folders, ("method", "scenario"))


def _listing(source: Source, data: DataConfig, parts: list[_Folder], columns: tuple[str, ...]) -> Listing:
    """The official test videos; of the rest, a seeded part whose persons are in no other is val. Raises ConfigError."""
    classes, num_frames, tree = deepfake_task(data), source.num_frames(), Tree(source.path)
    media, folders = media_of(tree, {part.path: part.path for part in parts})
    tested, entries = _test_videos(tree)
    for part in parts:
        folder = folders[part.path]
        for video, clip in clips(tree, folder, media).items():
            record = _record(part, video, tested)
            tested.pop(f"{part.path}/{video}", None)
            files = clip.files if media == "videos" else evenly_spaced(clip.files, num_frames)
            if record is None:
                entries += [Reject(name, "name does not say who is shown") for name in files]
            else:
                entries += entries_of(tree, folder, files, record)
        entries += other_files(tree, folder, media)
    entries += [Reject(name, tree.fault(name, "") or "not in a folder of this data set") for name in tested.values()]
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {"kind": source.kind, "frames": num_frames, "splits": f"official test; {made}"}
    layout = Layout(media, crop=media == "videos", columns=columns, options=options)
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


def _record(part: _Folder, video: str, tested: dict[str, str]) -> Record | None:
    """What is known of a video before its files are; None where its name does not say whom it shows.

    `id0_0001` and the fake `id0_id16_0001` show person id0. The persons of YouTube are known by their video alone.
    """
    who, key = PERSON.match(video), f"{part.path}/{video}"
    if who is None:
        return None
    return Record(
        position=0,
        name="",
        label=int(part.is_fake),
        identity=who["target"] or f"{YOUTUBE} {who['video']}",
        split="test" if key in tested else "train",
        video=key,
        columns=part.columns,
        source=(who["source"] or "") if part.is_fake else "",
    )
