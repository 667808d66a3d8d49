"""FaceForensics++ (Roessler et al. 2019), with FaceShifter and the DeepFakeDetection set that are published in the same
tree.
"""

from __future__ import annotations

from pathlib import Path

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import SPLITS, Reject
from lssat.data.sources.assemble import TEST_SHARE, VAL_SHARE, Entries, assemble, cut, deepfake_task, numbered
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.source import choice, frames_of
from lssat.data.sources.tree import Tree, clips, media_of, people, spaced, strangers
from lssat.nearest import nearest

CLASSIC = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
DFD = "DeepFakeDetection"
METHODS = (*CLASSIC, "FaceShifter", DFD)
COMPRESSIONS = ("raw", "c23", "c40")


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Real and fake videos, or their extracted frames, of one compression. Raises ConfigError."""
    task = deepfake_task(data)
    compression = choice(options, "compression", COMPRESSIONS, "c23")
    methods, frames = _methods(options), frames_of(options)
    tree = Tree(root)
    official = _official_splits(tree) if set(methods) - {DFD} else {}
    media, places = media_of(tree, _folders(methods, compression))
    entries: Entries = []
    for method, folder in places.items():
        found = clips(tree, folder, media)
        for video, clip in found.items():
            split = "" if method in (DFD, "actors") else official.get(video, "none")
            if split == "none" or (split and ("_" in video) != (method != "youtube")):
                entries += [Reject(name, "no split for this video") for name in clip.files]
                continue
            key = f"{method}/{compression}/{video}"
            fake = method not in ("youtube", "actors")
            target, source = _people(method, video)
            record = Record(0, "", int(fake), target, split, key, None, (method, compression), source if fake else "")
            for name in clip.files if media == "videos" else spaced(clip.files, frames):
                reason = tree.fault(name, folder)
                entries.append(Reject(name, reason) if reason else record._replace(name=name))
        if method not in (DFD, "actors"):
            wanted = [video for video in official if ("_" in video) == (method != "youtube") and video not in found]
            entries += [
                Reject(f"{folder}/{video}{'.mp4' if media == 'videos' else ''}", "file not found") for video in wanted
            ]
        entries += [
            Reject(name, tree.fault(name, folder) or "not a video or frame") for name in strangers(tree, folder, media)
        ]
    made = "official"
    if DFD in methods:
        shares = {"train": 1 - VAL_SHARE - TEST_SHARE, "val": VAL_SHARE, "test": TEST_SHARE}
        entries, note = cut(numbered(entries), "", shares, data.seed)
        made = f"{'official; ' if official else ''}{DFD} by actor 70/15/15{note}"
    recorded = {
        "kind": "faceforensics",
        "compression": compression,
        "methods": list(methods),
        "frames": frames,
        "splits": made,
    }
    return assemble(
        root,
        data,
        task,
        numbered(entries),
        media=media,
        crop=media == "videos",
        columns=("method", "compression"),
        options=recorded,
        name=root.name,
    )


def _methods(options: dict[str, str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in options.get("methods", ",".join(CLASSIC)).split(","))
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"`data.source`: option `methods` names the unknown `{name}`; {nearest(name, METHODS)}")
    return tuple(name for name in METHODS if name in names)


def _folders(methods: tuple[str, ...], compression: str) -> dict[str, str]:
    originals = (["youtube"] if set(methods) - {DFD} else []) + (["actors"] if DFD in methods else [])
    return {name: f"original_sequences/{name}/{compression}" for name in originals} | {
        name: f"manipulated_sequences/{name}/{compression}" for name in methods
    }


def _official_splits(tree: Tree) -> dict[str, str]:
    """Video -> split: every pair names two real videos and, in both orders, two fakes. Raises ConfigError."""
    splits: dict[str, str] = {}
    for split in SPLITS:
        name = tree.need("official splits", f"splits/{split}.json", f"{split}.json")
        pairs = tree.json(name)
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs
        ):
            raise ConfigError(
                f'`data.source`: `{tree.root / name}` must be a list of pairs such as ["071", "054"]; fetch it again'
            )
        for first, second in pairs:
            for video in (first, second, f"{first}_{second}", f"{second}_{first}"):
                if splits.setdefault(video, split) != split:
                    raise ConfigError(
                        f"`data.source`: `{tree.root / name}` names video `{video}`, which is in split "
                        f"`{splits[video]}` already"
                    )
    return splits


def _people(method: str, video: str) -> tuple[str, str]:
    """The person filmed, and of a fake the one whose face it shows. Actors are numbered apart from the videos of
    YouTube.
    """
    target, source = people(video)
    return (f"actor {target}", f"actor {source}") if method in (DFD, "actors") else (target, source)
