"""Frames as DeepfakeBench (Yan et al. 2023) extracts them, by its JSON.

It reads dataset -> label -> split -> [compression] -> video -> frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Layout, assemble, deepfake_task, numbered
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.source import Source
from lssat.data.sources.splits import SPLIT_NAMES, complete_splits, given_splits
from lssat.data.sources.tree import Tree, evenly_spaced, target_and_source
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

COMPRESSIONS = ("raw", "c23", "c40")
JSON_FOLDERS = ("", "dataset_json/", "preprocessed/dataset_json/")
# Where splits share a video, as the JSON of Celeb-DF has it, the video belongs to the first of these.
ORDER = ("test", "val", "train")


class Video(NamedTuple):
    """One video of the JSON. `compression`: "" where the JSON has no such level."""

    split: str
    label: str
    compression: str
    name: str
    frames: list[Any]

    @property
    def is_real(self) -> bool:
        """As its label has it, such as `FF-real` or `simswap_Real`."""
        return "real" in self.label.lower()

    @property
    def key(self) -> str:
        """What the video is called in the whole data set."""
        return "/".join(part for part in (self.label, self.compression, self.name) if part)


def listing(source: Source, data: DataConfig) -> Listing:
    """Frames named in the JSON, below the folder given. Raises ConfigError."""
    classes, num_frames = deepfake_task(data), source.num_frames()
    compression = source.choice("compression", COMPRESSIONS, "c23")
    tree = Tree(source.path if source.path.is_dir() else source.path.parent.resolve())
    dataset, labels = _dataset(tree, source)
    videos, dropped = in_one_split(videos_of(labels, compression, tree.root))
    entries = frames_of(tree, [(video, _record(video, dataset)) for video in videos], num_frames)
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    options = {
        "kind": "deepfakebench",
        "dataset": dataset,
        "compression": compression,
        "frames": num_frames,
        "dropped": dropped,
        "splits": made,
    }
    layout = Layout("images", crop=False, columns=("method", "compression"), options=options)
    return assemble(tree.root, data, classes, entries, layout)


def _dataset(tree: Tree, source: Source) -> tuple[str, dict[str, Any]]:
    """Name and labels of the one data set that is meant. Raises ConfigError."""
    root, wanted = source.path, source.options.get("dataset")
    found = datasets_in(tree, json_files(tree) if root.is_dir() else [root.name])
    if not found:
        raise ConfigError(
            f"`data.source`: `{root}` holds no JSON of DeepfakeBench; it needs `<dataset>.json` there or in "
            "`dataset_json/`"
        )
    if wanted is None and len(found) > 1:
        raise ConfigError(
            f"`data.source`: `{root}` holds several data sets ({listed([*found])}); choose one by `?dataset=NAME`"
        )
    name = wanted or next(iter(found))
    if name not in found:
        raise ConfigError(f"`data.source`: option `dataset` names the unknown `{name}`; {nearest(name, found)}")
    return name, found[name]


def json_files(tree: Tree) -> list[str]:
    """Where the JSON files may be."""
    paths = (path for folder in JSON_FOLDERS for path in sorted((tree.root / folder).glob("*.json")))
    return [path.relative_to(tree.root).as_posix() for path in paths]


def datasets_in(tree: Tree, names: list[str]) -> dict[str, dict[str, Any]]:
    """Data set -> its labels, of some JSON files. Raises ConfigError where one cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        content = tree.json(name)
        if isinstance(content, dict):
            found |= {str(key): value for key, value in content.items() if isinstance(value, dict)}
    return found


def videos_of(labels: dict[str, Any], compression: str, root: Path) -> Iterator[Video]:
    """The videos of one data set of a JSON. Raises ConfigError where it is not as DeepfakeBench writes it."""
    try:
        for label, splits in labels.items():
            for split, content in splits.items():
                levels = {level: content[level] for level in COMPRESSIONS if level in content}
                if levels and compression not in levels:
                    raise ConfigError(
                        f"`data.source`: label `{label}` has no compression `{compression}`, but {listed([*levels])}; "
                        "choose by `?compression=`"
                    )
                for name, entry in (levels[compression] if levels else content).items():
                    frames = list(entry["frames"])
                    yield Video(SPLIT_NAMES[split.lower()], label, compression if levels else "", name, frames)
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"`data.source`: the JSON in `{root}` is not as DeepfakeBench writes it ({type(error).__name__}: {error})"
        ) from None


def in_one_split(videos: Iterator[Video]) -> tuple[list[Video], dict[str, int]]:
    """The videos, each in one split alone, and how many were dropped for that."""
    split_of: dict[tuple[str, str], str] = {}
    dropped: Counter[str] = Counter()
    kept: list[Video] = []
    for video in sorted(videos, key=lambda video: ORDER.index(video.split)):
        split = split_of.setdefault((video.label, video.name), video.split)
        if split == video.split:
            kept.append(video)
        else:
            dropped[f"{video.split} videos that are in {split}"] += 1
    return kept, dict(dropped)


def frames_of(tree: Tree, videos: list[tuple[Video, Record]], num_frames: int) -> Entries:
    """A record for each frame that is taken of the videos, or why it cannot be read."""
    entries: Entries = []
    named: set[str] = set()
    for video, record in videos:
        if not video.frames:
            entries.append(Reject(record.video, "video has no frames"))
        for frame in evenly_spaced(video.frames, num_frames):
            name = PurePosixPath(str(frame).replace("\\", "/")).as_posix()
            fault = "listed twice" if name in named else _fault(tree, frame, name)
            named.add(name)
            entries.append(Reject(name, fault) if fault else record._replace(name=name))
    return entries


def _record(video: Video, dataset: str) -> Record:
    """What is known of a video before its frames are."""
    is_fake = not video.is_real
    target, source = target_and_source(video.name) if is_fake else (video.name.split("_")[0], "")
    return Record(
        position=0,
        name="",
        label=int(is_fake),
        identity=f"{dataset} {target}",
        split=video.split,
        video=video.key,
        columns=(video.label if is_fake else "", video.compression),
        source=f"{dataset} {source}" if source else "",
    )


def _fault(tree: Tree, frame: Any, name: str) -> str:
    if not isinstance(frame, str):
        return "frame has no name"
    return tree.fault(name, str(PurePosixPath(name).parent))
