"""What drawing reads of the training rows beside their labels: their data sets, and what real and fake rows share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from lssat.command import Notify
from lssat.data.prepared.selection import Mask, learnt_rows
from lssat.data.prepared.table import DatasetInfo, read_info, read_texts, shard_paths
from lssat.errors import ConfigError
from lssat.settings.data import DATASET, DataConfig
from lssat.text.did_you_mean import listed, nearest

Numbers = npt.NDArray[np.int32]
Texts = Mapping[str, npt.NDArray[Any]]


class Datasets(NamedTuple):
    """`number` [N]: of each row's data set; `weight` [D]: of each data set, as `data.weights` has it."""

    number: Numbers
    weight: npt.NDArray[np.float64]


class Clip(NamedTuple):
    """Rows of one class that belong together: a film, or else all of a person. `data`: the data set they are of."""

    data: str
    person: str
    video: str
    is_fake: bool


class Clips(NamedTuple):
    """`number` [N]: of each row's clip; `partners`: number of a fake clip -> the real ones of its source; `films`:
    numbers of the clips whose rows come in the order of time.
    """

    number: Numbers
    partners: Mapping[int, tuple[int, ...]]
    films: frozenset[int]


@dataclass(frozen=True)
class RowKeys:
    """Of the rows of the whole split, by their positions; None: nobody asks for it."""

    datasets: Datasets | None = None
    clips: Clips | None = None


def read_keys(folder: Path, data: DataConfig, notify: Notify) -> RowKeys | None:
    """What the drawing of training rows reads of a prepared folder; says how many rows have no partner. None where it
    reads nothing. Raises ConfigError where data sets have no weight, or nothing makes a pair.
    """
    if data.sampling != "paired" and data.weights is None:
        return None
    info, texts = read_info(folder), read_texts(folder, "train")
    clips = None
    if data.sampling == "paired":
        learnt = learnt_rows(folder, data)
        is_learnt = np.ones(info.rows["train"], bool) if learnt is None else learnt
        files = (pq.ParquetFile(path).read(columns=["label"]) for path in shard_paths(folder, "train"))
        label = np.concatenate([file["label"].to_numpy() for file in files])
        clips = pair_clips(texts, label)
        _say_what_is_paired(info, clips, label, is_learnt, notify)
    return RowKeys(_datasets(texts[DATASET], data.weights) if data.weights else None, clips)


def check_weights(weights: Mapping[str, float], names: Sequence[str]) -> None:
    """`names`: of all data sets; one that is held out may be learnt from where another is (`search.rotate`). Raises
    ConfigError.
    """
    for name in weights:
        if name not in names:
            raise ConfigError(
                f"`data.weights` names `{name}`, which is none of the data sets; {nearest(name, names, 'training has')}"
            )
    if lacking := [name for name in names if name not in weights]:
        raise ConfigError(
            f"`data.weights` must name every data set of training, but lacks {listed(lacking)}; give it a weight"
        )


def pair_clips(texts: Texts, label: npt.NDArray[Any]) -> Clips:
    """`texts`: as of `table.read_texts`; `label` [N]: 1 is fake.

    A fake's source is who it shows, in the same data set: `identity` or, where that is empty, `video`. Where this
    person has several films, it is the one that the fake's name contains word by word (`id0_0000` in `id0_id16_0000`),
    if any is.
    """
    person = np.where(texts["identity"] != "", texts["identity"], texts["video"])
    data = texts[DATASET] if DATASET in texts else np.full(len(label), "")
    numbers: dict[Clip, int] = {}
    rows = zip(data.tolist(), person.tolist(), texts["video"].tolist(), (label == 1).tolist(), strict=True)
    number = [numbers.setdefault(Clip(*row), len(numbers)) for row in rows]
    real: dict[tuple[str, str], list[Clip]] = {}
    for clip in numbers:
        if clip.person and not clip.is_fake:
            real.setdefault((clip.data, clip.person), []).append(clip)
    partners = {}
    for clip, own in numbers.items():
        if clip.is_fake and (found := real.get((clip.data, clip.person))):
            named = [other for other in found if _is_named_in(other.video, clip.video)]
            partners[own] = tuple(numbers[other] for other in named or found)
    films = frozenset(own for clip, own in numbers.items() if clip.video)
    return Clips(np.array(number, np.int32), partners, films)


def _is_named_in(video: str, other: str) -> bool:
    """Whether all words of a film's name come in another's, in their order."""
    words = iter(_words(other))
    return bool(video) and all(word in words for word in _words(video))


def _words(video: str) -> Sequence[str]:
    return re.split(r"[\W_]+", PurePosixPath(video).name)


def _say_what_is_paired(
    info: DatasetInfo, clips: Clips, label: npt.NDArray[Any], is_learnt: Mask, notify: Notify
) -> None:
    """Of the rows that are learnt from. Raises ConfigError where nothing is."""
    real, fake = info.classes
    there = {*clips.number[is_learnt].tolist()}
    partners = {own: {*found} & there for own, found in clips.partners.items() if own in there}
    has_partner = is_learnt & np.isin(clips.number, [own for own, found in partners.items() if found])
    is_partner = is_learnt & np.isin(clips.number, [own for found in partners.values() for own in found])
    if not has_partner.any():
        raise ConfigError(
            f"`data.sampling` paired finds no training image of class `{fake}` with one of class `{real}` of the same "
            "`identity` or `video`, but for what is held out; name them in columns of the table, or take "
            "`data.sampling` balanced"
        )
    alone = (is_learnt & (label == 1)).sum() - has_partner.sum(), (is_learnt & (label == 0)).sum() - is_partner.sum()
    notify(
        f"paired: {has_partner.sum():,} images of `{fake}` with {is_partner.sum():,} of `{real}`; left out, for want "
        f"of a partner: {alone[0]:,} and {alone[1]:,}"
    )


def _datasets(column: npt.NDArray[Any], weights: Mapping[str, float]) -> Datasets:
    """Raises ConfigError where names and data sets do not match."""
    names, number = np.unique(column, return_inverse=True)
    check_weights(weights, names.tolist())
    return Datasets(number.astype(np.int32), np.array([weights[name] for name in names]))
