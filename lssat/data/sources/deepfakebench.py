"""Frames as DeepfakeBench (Yan et al. 2023) extracts them, by its JSON: dataset -> label -> split -> [compression] ->
video -> frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import Reject
from lssat.data.sources.assemble import Entries, assemble, complete_splits, deepfake_task, given_splits, numbered
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.reading import SPLIT_NAMES
from lssat.data.sources.source import choice, frames_of
from lssat.data.sources.tree import Tree, people, spaced
from lssat.nearest import listed, nearest

COMPRESSIONS = ("raw", "c23", "c40")
JSON_FOLDERS = ("", "dataset_json/", "preprocessed/dataset_json/")
ORDER = (
    "test",
    "val",
    "train",
)  # where splits share a video, as the JSON of Celeb-DF has it, it belongs to the first of these


def listing(root: Path, options: dict[str, str], data: DataConfig) -> Listing:
    """Frames named in the JSON, below the folder given. Raises ConfigError."""
    task, frames = deepfake_task(data), frames_of(options)
    compression = choice(options, "compression", COMPRESSIONS, "c23")
    tree = Tree(root if root.is_dir() else root.parent.resolve())
    dataset, labels = _dataset(tree, root, options.get("dataset"))
    entries: Entries = []
    home: dict[tuple[str, str], str] = {}
    named: set[str] = set()
    dropped: Counter[str] = Counter()
    for split, label, level, video, files in sorted(
        _videos(labels, compression, tree.root), key=lambda item: ORDER.index(item[0])
    ):
        if home.setdefault((label, video), split) != split:
            dropped[f"{split} videos that are in {home[label, video]}"] += 1
            continue
        key = "/".join(part for part in (label, level, video) if part)
        fake = "real" not in label.lower()
        target, source = people(video) if fake else (video.split("_")[0], "")
        lent = f"{dataset} {source}" if source else ""
        record = Record(0, "", int(fake), f"{dataset} {target}", split, key, None, (label, level), lent)
        if not files:
            entries.append(Reject(key, "video has no frames"))
        for file in spaced(files, frames):
            name = PurePosixPath(str(file).replace("\\", "/")).as_posix()
            reason = (
                "listed twice"
                if name in named
                else tree.fault(name, str(PurePosixPath(name).parent))
                if isinstance(file, str)
                else "frame has no name"
            )
            named.add(name)
            entries.append(Reject(name, reason) if reason else record._replace(name=name))
    entries, made = complete_splits(numbered(entries), given_splits(entries), data.seed)
    recorded = {
        "kind": "deepfakebench",
        "dataset": dataset,
        "compression": compression,
        "frames": frames,
        "dropped": dict(dropped),
        "splits": made,
    }
    return assemble(
        tree.root,
        data,
        task,
        entries,
        media="images",
        crop=False,
        columns=("method", "compression"),
        options=recorded,
        name=tree.root.name,
    )


def _dataset(tree: Tree, root: Path, wanted: str | None) -> tuple[str, dict[str, Any]]:
    """Name and labels of the one data set that is meant. Raises ConfigError."""
    names = [root.name] if root.is_file() else [
        path.relative_to(tree.root).as_posix() for folder in JSON_FOLDERS for path in sorted((tree.root / folder).glob("*.json"))
    ]  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        content = tree.json(name)
        if isinstance(content, dict):
            found |= {str(key): value for key, value in content.items() if isinstance(value, dict)}
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


def _videos(labels: dict[str, Any], compression: str, root: Path) -> Iterator[tuple[str, str, str, str, list[Any]]]:
    """Split, label, compression ("" where there is no such level), video, frames."""
    try:
        for label, splits in labels.items():
            for split, content in splits.items():
                levels = {level: content[level] for level in COMPRESSIONS if level in content}
                if levels and compression not in levels:
                    raise ConfigError(
                        f"`data.source`: label `{label}` has no compression `{compression}`, but {listed([*levels])}; "
                        "choose by `?compression=`"
                    )
                for video, entry in (levels[compression] if levels else content).items():
                    yield SPLIT_NAMES[split.lower()], label, compression if levels else "", video, list(entry["frames"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"`data.source`: the JSON in `{root}` is not as DeepfakeBench writes it ({type(error).__name__}: {error})"
        ) from None
