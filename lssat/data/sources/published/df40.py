"""DF40 (Yan et al. 2024): frames named in one JSON of DeepfakeBench per method and domain, such as `simswap_ff.json`.

The JSON files hold fakes; the real videos come from `FaceForensics++.json` (domain `ff`) and `Celeb-DF-v2.json` (domain
`cdf`), whose fakes are not taken. In the JSON of DF40 val repeats test: then val is a part of train, made here. Other
domains are unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from lssat.data.sources.assemble import Layout, assemble, deepfake_task, numbered
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.published.deepfakebench import (
    COMPRESSIONS,
    Video,
    datasets_in,
    frames_of,
    in_one_split,
    json_files,
    videos_of,
)
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits, given_splits
from lssat.data.sources.tree import Tree, target_and_source
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

NAME = re.compile(r"(?P<method>.+)_(?P<domain>ff|cdf)")
REALS = {"ff": "FaceForensics++", "cdf": "Celeb-DF-v2"}
"""Domain -> the data set whose real videos belong to it."""


class _Part(NamedTuple):
    """What is taken of one data set of the JSON files: the fakes of `method`, or with "" the real videos."""

    domain: str
    method: str
    dataset: str


def listing(source: Source, data: DataConfig) -> Listing:
    """Fakes of the methods and domains that are asked for, and the real videos of these domains. Raises ConfigError."""
    classes, num_frames = deepfake_task(data), source.num_frames()
    compression = source.choice("compression", COMPRESSIONS, "c23")
    tree = Tree(source.path)
    files = {PurePosixPath(name).stem: name for name in json_files(tree)}
    parts = _parts(source, files)
    found = datasets_in(tree, [files[part.dataset] for part in parts])
    videos: list[tuple[Video, Record]] = []
    dropped: Counter[str] = Counter()
    for part in parts:
        kept, of_part = in_one_split(videos_of(_labels(found, part, tree), compression, tree.root))
        dropped.update(of_part)
        videos += [(video, _record(video, part)) for video in kept if video.is_real == (not part.method)]
    entries, made = _with_val(numbered(frames_of(tree, videos, num_frames)), data.seed)
    options = {
        "kind": "df40",
        "methods": sorted({part.method for part in parts} - {""}),
        "domains": sorted({part.domain for part in parts}),
        "compression": compression,
        "frames": num_frames,
        "dropped": dict(dropped),
        "splits": made,
    }
    layout = Layout("images", crop=False, columns=("method", "domain"), options=options)
    return assemble(tree.root, data, classes, entries, layout)


def _parts(source: Source, files: Mapping[str, str]) -> list[_Part]:
    """The fakes that are asked for, and the real videos that belong to them. Raises ConfigError."""
    named = {stem: form for stem in files if (form := NAME.fullmatch(stem))}
    if not named:
        raise ConfigError(
            f"`data.source`: `{source.path}` is no DF40; it needs `<method>_ff.json` or `<method>_cdf.json` there or "
            "in `dataset_json/`"
        )
    fakes = [_Part(form["domain"], form["method"], stem) for stem, form in named.items()]
    for option, values in (
        ("methods", {part.method for part in fakes}),
        ("domains", {part.domain for part in fakes}),
    ):
        wanted = [name.strip() for name in source.options[option].split(",")] if option in source.options else values
        for name in wanted:
            if name not in values:
                hint = nearest(name, sorted(values), f"`{source.path}` holds")
                raise ConfigError(f"`data.source`: option `{option}` names the unknown `{name}`; {hint}")
        fakes = [part for part in fakes if (part.method if option == "methods" else part.domain) in wanted]
    if not fakes:
        raise ConfigError(f"`data.source`: `{source.path}` has no JSON of such a method and domain; name others")
    domains = sorted({part.domain for part in fakes})
    if missing := [REALS[domain] for domain in domains if REALS[domain] not in files]:
        raise ConfigError(
            f"`data.source`: `{source.path}` lacks {listed([f'{name}.json' for name in missing])}, whose real videos "
            "belong to the fakes; add it with its frames, or choose by `?domains=`"
        )
    return [*(_Part(domain, "", REALS[domain]) for domain in domains), *fakes]


def _labels(found: Mapping[str, dict[str, Any]], part: _Part, tree: Tree) -> dict[str, Any]:
    """Raises ConfigError where a JSON does not hold the data set that it is called after."""
    if part.dataset not in found:
        raise ConfigError(
            f"`data.source`: `{part.dataset}.json` in `{tree.root}` does not hold `{part.dataset}`, but "
            f"{listed([*found])}; fetch it again"
        )
    return found[part.dataset]


def _record(video: Video, part: _Part) -> Record:
    """What is known of a video before its frames are: a fake shows the person of the real video of its domain."""
    target, source = target_and_source(video.name) if part.method else (video.name.split("_")[0], "")
    return Record(
        position=0,
        name="",
        label=int(bool(part.method)),
        identity=f"{part.domain} {target}",
        split=video.split,
        video=f"{part.dataset}/{video.key}",
        columns=(part.method, part.domain),
        source=f"{part.domain} {source}" if source else "",
    )


def _with_val(entries: Entries, seed: int) -> tuple[Entries, str]:
    """The entries with a val of their own: where no fake has one, that of the real videos goes to train first.

    Also says in words what was done.
    """
    records = [entry for entry in entries if isinstance(entry, Record)]
    if any(record.label and record.split == "val" for record in records):
        return entries, "as given"
    pooled: Entries = [
        entry._replace(split="train") if isinstance(entry, Record) and entry.split == "val" else entry
        for entry in entries
    ]
    pooled, made = complete_splits(pooled, given_splits(pooled), seed)
    return pooled, f"official test; val of the fakes repeats test or is missing: {made}"
