"""The files of a published tree, walked once, and the rule that names must not lead out of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from lssat.data.images import UnusableImage, check_name, resolve_inside
from lssat.data.prepared.table import Reject
from lssat.data.sources.listing import Entries, Media, Record
from lssat.errors import ConfigError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv")
T = TypeVar("T")
PAIR = re.compile(r"((?:id)?\d+)_((?:id)?\d+)(?=_|$)")


class Tree:
    """Files below `root`, relative to it.

    Linked folders are not entered but listed themselves, as what cannot be read: they may lead out of the data.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, dict[str, bool]] = {}

    def files(self, folder: str) -> dict[str, bool]:
        """All files below a folder, sorted by name -> whether it is a link. Hidden ones are passed over."""
        if folder not in self._folders:
            inside = (self.root / folder).resolve().is_relative_to(self.root)
            self._folders[folder] = (
                dict(sorted(_walk(self.root / folder, f"{folder}/" if folder else ""))) if inside else {folder: True}
            )
        return self._folders[folder]

    def fault(self, name: str, folder: str) -> str:
        """Why the file `name`, expected below `folder`, cannot be read; "" where nothing speaks against it."""
        try:
            check_name(name)
            if self.files(folder).get(name) is False:
                return ""
            resolve_inside(self.root, name)
        except UnusableImage as reason:
            return str(reason)
        return ""

    def first(self, *candidates: str) -> str | None:
        """The first of these paths that exists."""
        return next((name for name in candidates if (self.root / name).exists()), None)

    def need(self, what: str, *candidates: str) -> str:
        """The first of these paths that exists. Raises ConfigError."""
        found = self.first(*candidates)
        if found is None:
            raise ConfigError(
                f"`data.source`: `{self.root}` holds no {what}; it needs "
                f"{' or '.join(f'`{name}`' for name in candidates)}"
            )
        return found

    def text(self, name: str) -> str:
        """A text file of the tree. Raises ConfigError."""
        try:
            return resolve_inside(self.root, name).read_text(encoding="utf-8-sig")
        except (UnusableImage, OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"`data.source`: `{self.root / name}` cannot be read ({str(error).splitlines()[0][:100]}); fetch it "
                "again"
            ) from None

    def json(self, name: str) -> Any:
        """A JSON file of the tree. Raises ConfigError."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"`data.source`: `{self.root / name}` is no JSON ({str(error)[:100]}); fetch it again"
            ) from None


@dataclass
class Clip:
    """One video: its file, or its extracted frames in order."""

    name: str
    files: list[str] = field(default_factory=list)


def clips(tree: Tree, folder: str, media: Media) -> dict[str, Clip]:
    """Videos below a folder by their name without ending: files (`videos`), or frames in a folder each (`images`)."""
    endings = _endings(media)
    found: dict[str, Clip] = {}
    for name in tree.files(folder):
        path = PurePosixPath(name)
        if path.suffix.lower() in endings:
            key = path.stem if media == "videos" else path.parent.name
            found.setdefault(key, Clip(key)).files.append(name)
    return found


def target_and_source(video: str) -> tuple[str, str]:
    """The person that a fake shows and the one whose face it borrows, by the name of its video.

    `000_003`, `01_02__scene__id` or `id0_id16_0001`; the source is "" where the name gives none.
    """
    pair = PAIR.match(video)
    return (pair[1], pair[2]) if pair else (video.split("_")[0], "")


def entries_of(tree: Tree, folder: str, files: Iterable[str], record: Record) -> Entries:
    """`record` for each of these files below `folder`, or why the file cannot be read."""
    faults = ((name, tree.fault(name, folder)) for name in files)
    return [Reject(name, fault) if fault else record._replace(name=name) for name, fault in faults]


def other_files(tree: Tree, folder: str, media: Media) -> Entries:
    """A reject for every file below a folder that is neither video nor frame."""
    endings = _endings(media)
    others = (name for name in tree.files(folder) if PurePosixPath(name).suffix.lower() not in endings)
    return [Reject(name, tree.fault(name, folder) or "not a video or frame") for name in others]


def media_of(tree: Tree, folders: dict[str, str]) -> tuple[Media, dict[str, str]]:
    """Whether all of these folders hold videos or all hold extracted frames, and where in each; keys are kept.

    Videos are in `videos/` or in the folder itself, frames in `frames/`. Raises ConfigError where neither is in all of
    them.
    """
    frames = {key: f"{folder}/frames" for key, folder in folders.items() if (tree.root / folder / "frames").is_dir()}
    videos: dict[str, str] = {}
    for key, folder in folders.items():
        below = tree.root / folder
        if (below / "videos").is_dir():
            videos[key] = f"{folder}/videos"
        elif below.is_dir() and any(item.suffix.lower() in VIDEO_ENDINGS for item in below.iterdir()):
            videos[key] = folder
    if len(videos) == len(folders):
        return "videos", videos
    if len(frames) == len(folders):
        return "images", frames
    absent = next(
        folder for key, folder in folders.items() if key not in (videos if len(videos) >= len(frames) else frames)
    )
    raise ConfigError(
        f"`data.source`: `{tree.root / absent}` holds neither videos (`*.mp4`, `videos/*.mp4`) nor extracted frames "
        "(`frames/<video>/*.png`) as the other parts do; add it, or leave it out by the options of `data.source`"
    )


def evenly_spaced(files: list[T], count: int) -> list[T]:
    """At most `count` of them, evenly spaced from the first to the last."""
    if len(files) <= count:
        return files
    return [files[index] for index in np.linspace(0, len(files) - 1, count).round().astype(int)]


def _endings(media: Media) -> tuple[str, ...]:
    return VIDEO_ENDINGS if media == "videos" else IMAGE_ENDINGS


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, bool]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as items:
        for item in items:
            if item.name.startswith("."):
                continue
            if item.is_dir(follow_symlinks=False):
                yield from _walk(folder / item.name, f"{prefix}{item.name}/")
            else:
                yield f"{prefix}{item.name}", item.is_symlink()
