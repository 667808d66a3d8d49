"""FaceForensics++ (Roessler et al. 2019), with FaceShifter and DeepFakeDetection, which share its tree."""

from __future__ import annotations

from lssat.data.prepared.table import SPLITS, Reject
from lssat.data.sources.assemble import Layout, assemble, deepfake_task, numbered
from lssat.data.sources.listing import Entries, Listing, Media, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import TEST_SHARE, VAL_SHARE, cut
from lssat.data.sources.tree import (
    Clip,
    Tree,
    clips,
    entries_of,
    evenly_spaced,
    media_of,
    other_files,
    target_and_source,
)
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import nearest

CLASSIC = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
DFD = "DeepFakeDetection"
METHODS = (*CLASSIC, "FaceShifter", DFD)
YOUTUBE, ACTORS = "youtube", "actors"  # the folders of real videos
COMPRESSIONS = ("raw", "c23", "c40")


def listing(source: Source, data: DataConfig) -> Listing:
    """Real and fake videos, or their extracted frames, of one compression. Raises ConfigError."""
    classes = deepfake_task(data)
    compression = source.choice("compression", COMPRESSIONS, "c23")
    methods, num_frames = _methods(source.options), source.num_frames()
    tree = Tree(source.path)
    official = _official_splits(tree) if set(methods) - {DFD} else {}
    media, folders = media_of(tree, _folders(methods, compression))
    entries: Entries = []
    for method, folder in folders.items():
        found = clips(tree, folder, media)
        for video, clip in found.items():
            record = _record(method, compression, video, official)
            if record is None:
                entries += [Reject(name, "no split for this video") for name in clip.files]
            else:
                files = clip.files if media == "videos" else evenly_spaced(clip.files, num_frames)
                entries += entries_of(tree, folder, files, record)
        entries += _absent(method, folder, official, found, media)
        entries += other_files(tree, folder, media)
    entries, made = _split_actors(entries, official, data.seed) if DFD in methods else (entries, "official")
    options = {
        "kind": "faceforensics",
        "compression": compression,
        "methods": list(methods),
        "frames": num_frames,
        "splits": made,
    }
    layout = Layout(media, crop=media == "videos", columns=("method", "compression"), options=options)
    return assemble(source.path, data, classes, numbered(entries), layout)


def _methods(options: dict[str, str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in options.get("methods", ",".join(CLASSIC)).split(","))
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"`data.source`: option `methods` names the unknown `{name}`; {nearest(name, METHODS)}")
    return tuple(name for name in METHODS if name in names)


def _folders(methods: tuple[str, ...], compression: str) -> dict[str, str]:
    """Where the videos of the methods are, and first those of the real videos that belong to them."""
    originals = ([YOUTUBE] if set(methods) - {DFD} else []) + ([ACTORS] if DFD in methods else [])
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


def _record(method: str, compression: str, video: str, official: dict[str, str]) -> Record | None:
    """What is known of a video before its files are; None where it should have an official split and has none.

    Actors are numbered apart from the persons of YouTube, and have no official split.
    """
    is_of_actors, is_fake = method in (DFD, ACTORS), method not in (YOUTUBE, ACTORS)
    split = "" if is_of_actors else official.get(video, "none")
    if split == "none" or (split and _is_fake_name(video) != is_fake):
        return None
    target, source = target_and_source(video)
    if is_of_actors:
        target, source = f"actor {target}", f"actor {source}"
    return Record(
        position=0,
        name="",
        label=int(is_fake),
        identity=target,
        split=split,
        video=f"{method}/{compression}/{video}",
        columns=(method if is_fake else "", compression),
        source=source if is_fake else "",
    )


def _absent(method: str, folder: str, official: dict[str, str], found: dict[str, Clip], media: Media) -> Entries:
    """A reject for every video of the official splits that the method's folder lacks."""
    if method in (DFD, ACTORS):
        return []
    ending = ".mp4" if media == "videos" else ""
    expected = [video for video in official if _is_fake_name(video) != (method == YOUTUBE)]
    return [Reject(f"{folder}/{video}{ending}", "file not found") for video in expected if video not in found]


def _split_actors(entries: Entries, official: dict[str, str], seed: int) -> tuple[Entries, str]:
    """Deal the videos of DeepFakeDetection, which has no official splits, out by actor. Also says so in words."""
    shares = {"train": 1 - VAL_SHARE - TEST_SHARE, "val": VAL_SHARE, "test": TEST_SHARE}
    entries, cost = cut(numbered(entries), "", shares, seed)
    return entries, f"{'official; ' if official else ''}{DFD} by actor 70/15/15{cost}"


def _is_fake_name(video: str) -> bool:
    """Real videos of YouTube are called `000`, fakes of them `000_003`."""
    return "_" in video
