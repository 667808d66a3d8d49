"""Several prepared data sets of one task -> one, whose further column `dataset` tells them apart.

Everything after it, hold-out and subgroups included, meets an ordinary prepared data set.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from lssat.command import Notify
from lssat.data.prepare.asked import Faces, detector_of
from lssat.data.prepare.audit import check_leaks
from lssat.data.prepare.progress import Progress
from lssat.data.prepare.resumable import FINGERPRINT, begin_or_go_on, unfinished_of
from lssat.data.prepared.interleaving import Part, write_split
from lssat.data.prepared.row_keys import check_weights
from lssat.data.prepared.table import (
    DATASETS,
    INFO_FILE,
    SPLITS,
    VALIDATE_ON,
    DatasetInfo,
    Reject,
    is_complete,
    read_info,
)
from lssat.data.prepared.writing import complete_counted, publish
from lssat.data.sources.assemble import with_class_names
from lssat.data.sources.source import joined_name, located, short_names
from lssat.errors import ConfigError
from lssat.settings.data import DATASET, DataConfig
from lssat.text.did_you_mean import listed, nearest

FORMAT = 1  # of the joined folder; raise it when older folders must not be found any more
OF_ONE = ("leaks", "changed", "kept_together", "frames_without_face")
"""Options of a prepared data set that say nothing of others."""


class Joinable(NamedTuple):
    """A data set that is to be joined with others.

    `source`: as it was given. `fingerprint`: of what it holds, whether or not it may have leaks. `changed`: the same
    where older versions opened some of it differently. `place`: where its files are; those of two data sets in one
    place are of the same persons.
    """

    source: str
    fingerprint: str
    changed: str
    place: str


@dataclass(frozen=True)
class Joining:
    """Data sets that are to be joined, by their names, and the settings that they share."""

    data: DataConfig
    parts: Mapping[str, Joinable]

    @property
    def name(self) -> str:
        """What they are called together."""
        return joined_name(self.data.sources)

    def fingerprint(self, of_parts: Mapping[str, str]) -> str:
        """sha256 of the parts, as they were prepared, and of how they are joined."""
        people = {name: self._people(name) for name in self.parts}
        how = [self.data.class_names, self.data.validate_on, self.data.allow_leaks, people]
        return hashlib.sha256(json.dumps([FORMAT, list(of_parts.items()), how]).encode()).hexdigest()

    @property
    def expected(self) -> str:
        """The fingerprint that is to be expected before anything is prepared."""
        return self.fingerprint({name: part.fingerprint for name, part in self.parts.items()})

    def is_made(self, folder: Path) -> bool:
        """Whether the folder holds this, whole; the parts may be gone."""
        if not is_complete(folder):
            return False
        info = read_info(folder)
        of_parts = {name: found["fingerprint"] for name, found in info.options.get(DATASETS, {}).items()}
        are_known = all(of_parts.get(name) in (part.fingerprint, part.changed) for name, part in self.parts.items())
        return are_known and info.fingerprint == self.fingerprint(of_parts)

    def write(self, folder: Path, prepared: Mapping[str, Path], notify: Notify) -> DatasetInfo:
        """Make `folder` of the parts, by name where each was prepared; after a kill it goes on.

        Raises ConfigError where they do not fit together, or share what may not be in two splits.
        """
        infos = {name: self._described(name, read_info(path)) for name, path in prepared.items()}
        info = joined_info(infos, self.data)
        fingerprint = self.fingerprint({name: found.fingerprint for name, found in infos.items()})
        begin_or_go_on(folder, fingerprint)
        classes = next(iter(infos.values())).classes
        parts = {
            name: Part(name, prepared[name], tuple(map(classes.index, found.classes)), self._people(name))
            for name, found in infos.items()
        }
        unfinished = unfinished_of(folder)
        for split in Progress(notify, "joining splits", len(SPLITS)).follow(SPLITS):
            write_split(unfinished, split, info, [parts[name] for name in parts if counts_in(name, split, self.data)])
        try:
            info = complete_counted(unfinished, info, [*_rejects(infos)])
            info = check_leaks(unfinished, info, self.data.allow_leaks)
        except ConfigError:  # whatever repairs that, these rows will not be asked for again
            shutil.rmtree(unfinished)
            raise
        publish(unfinished, folder, replace(info, fingerprint=fingerprint))
        (folder / FINGERPRINT).unlink()
        return info

    def _described(self, name: str, info: DatasetInfo) -> DatasetInfo:
        """`info` of a part with the fingerprint by which joined data know it."""
        part = self.parts[name]
        return replace(info, fingerprint=part.changed if info.options.get("changed") else part.fingerprint)

    def _people(self, name: str) -> str:
        """The first data set in the place of this one: other options of a tree do not make others of its persons."""
        return next(other for other, part in self.parts.items() if part.place == self.parts[name].place)


def settings_of_parts(data: DataConfig) -> dict[str, DataConfig]:
    """The settings by which each of several data sets is prepared, by its short name. Their classes get new names
    together, as each may have an order of its own. Raises ConfigError where the same data set is named twice.
    """
    found: dict[Any, str] = {}
    for text in data.sources:
        kind, path, options = located(text)
        other = found.setdefault((kind, path.resolve(), *sorted(options.items())), text)
        if other != text:
            raise ConfigError(f"`data.source` names the same data set twice, as `{other}` and as `{text}`; remove one")
    names = zip(short_names(data.sources), data.sources, strict=True)
    return {name: _settings_of_part(data, text) for name, text in names}


def _settings_of_part(data: DataConfig, source: str) -> DataConfig:
    """What is prepared already stays as it is: whether it is like the others, `joined_info` sees."""
    is_prepared = (located(source).path / INFO_FILE).is_file()
    own = {"align": None if is_prepared else data.align, "class_names": None, "validate_on": None}
    return data.model_copy(update={"source": source, **own})


def refuse_copies(parts: Mapping[str, Joinable]) -> None:
    """Raises ConfigError where two data sets hold the same, wherever they are."""
    found: dict[str, str] = {}
    for name, part in parts.items():
        other = found.setdefault(part.fingerprint, name)
        if other != name:
            raise ConfigError(
                f"`data.source` names the same data set twice: `{part.source}` is a copy of "
                f"`{parts[other].source}`; remove one"
            )


def counts_in(name: str, split: str, data: DataConfig) -> bool:
    """Whether the rows of a data set in a split count: in training those of all."""
    return split == "train" or data.validate_on in (None, name)


def joined_info(infos: Mapping[str, DatasetInfo], data: DataConfig) -> DatasetInfo:
    """What data sets are together, by what each of them, by name, says of itself; where one cannot tell its rows yet,
    neither do they. Raises ConfigError where they do not fit together.
    """
    _check_alike(infos)
    if data.validate_on is not None:
        _check_validate_on(infos, data.validate_on)
    if data.weights is not None and not any(DATASETS in info.options for info in infos.values()):
        check_weights(data.weights, [*infos])
    first = next(iter(infos.values()))
    leading = infos[data.validate_on] if data.validate_on else first  # pictures that are asked about are opened as its
    columns = dict.fromkeys(column for info in infos.values() for column in info.columns)
    columns.pop(DATASET, None)
    rows, counts = {}, {}
    for split in SPLITS if all(info.rows for info in infos.values()) else ():
        own = [info for name, info in infos.items() if counts_in(name, split, data)]
        rows[split] = sum(info.rows[split] for info in own)
        counts[split] = {name: sum(info.counts[split][name] for info in own) for name in first.classes}
    options = {name: value for name, value in leading.options.items() if name not in OF_ONE}
    of_splits = {name: str(info.options.get("splits", "as given")) for name, info in infos.items()}
    splits = "; ".join(f"{name}: {said}" for name, said in of_splits.items())
    options |= {
        "allow_leaks": data.allow_leaks,
        "classes": data.classes,
        "splits": "as given" if {*of_splits.values()} == {"as given"} else splits,
        DATASETS: {name: _described(name, info, data) for name, info in infos.items()},
        VALIDATE_ON: data.validate_on,
    }
    name = joined_name(data.sources)
    info = replace(
        first, source=name, columns=(*columns, DATASET), options=options, rows=rows, counts=counts, rejects=()
    )
    return with_class_names(info, data.model_copy(update={"source": name}))


def _described(name: str, info: DatasetInfo, data: DataConfig) -> dict[str, Any]:
    """What is kept of one data set: `rows` are those that count."""
    rows = {split: count if counts_in(name, split, data) else 0 for split, count in info.rows.items()}
    return {"source": info.source, "fingerprint": info.fingerprint, "rows": rows}


def _rejects(infos: Mapping[str, DatasetInfo]) -> Iterator[Reject]:
    for name, info in infos.items():
        yield from (Reject(f"{name}: {reject['row']}", str(reject["reason"])) for reject in info.rejects)


def _check_alike(infos: Mapping[str, DatasetInfo]) -> None:
    """The same task, kind and classes, whatever their order, and faces that are framed alike. Raises ConfigError."""
    (name, first), *others = infos.items()
    for other, info in others:
        if info.synthetic != first.synthetic:
            drawn, real = (name, other) if first.synthetic else (other, name)
            raise ConfigError(
                f"`data.source` joins synthetic faces (`{drawn}`) with others (`{real}`), so that no score would say "
                "anything of real faces; remove one"
            )
        if info.task != first.task:
            raise ConfigError(
                f"the data sets of `data.source` must be of one task, but `{name}` is of `{first.task}` and `{other}` "
                f"of `{info.task}`; prepare one anew for the other's task"
            )
        if {*info.classes} != {*first.classes}:
            raise _other_classes({name: first.classes, other: info.classes}, first.kind == "multilabel")
        if info.kind != first.kind:
            raise ConfigError(
                f"the data sets of `data.source` must be of one kind of task, but `{name}` is {first.kind} and "
                f"`{other}` {info.kind}; name one label by `data.task`, or the same several"
            )
    known: dict[str, tuple[str, str]] = {}
    for name, info in infos.items():
        for what, (own, repair) in _opening(info).items():
            other, theirs = known.setdefault(what, (name, own))
            if own != theirs:
                raise ConfigError(
                    f"the images of the data sets of `data.source` must be opened alike, or a model learns to tell the "
                    f"data sets apart, but {what} is {theirs} in `{other}` and {own} in `{name}`; {repair}"
                )


def _opening(info: DatasetInfo) -> dict[str, tuple[str, str]]:
    """What makes images look alike -> how it is in these data, and what repairs a difference. How faces are found and
    turned is asked of those that were found here: others come as their makers cut them.
    """
    opening = {"`data.image_size`": (str(info.options.get("image_size")), "render one anew with that of the other")}
    faces = Faces.of(info)
    if faces.are_found:
        found = detector_of(info)
        opening["`data.align`"] = ("upright" if faces.align else "none", "prepare one anew with that of the other")
        opening["the detector"] = (
            f"{found['detector']} ({found['detector_sha256'][:12]})",
            "prepare again, from its videos, the one that an older version prepared",
        )
    return opening


def _other_classes(classes: Mapping[str, Sequence[str]], are_labels: bool) -> ConfigError:
    (one, first), (other, second) = classes.items()
    what = "labels" if are_labels else "classes"
    shared = [name for name in first if name in second]
    repairs = []
    if len(shared) > 1:
        key = f"data.task: {','.join(shared)}" if are_labels else f"data.classes: [{', '.join(shared)}]"
        repairs.append(f"keep those that both have: `{key}`")
    if not are_labels and len(first) == len(second):
        repairs.append(
            "if they only have other names, prepare one by itself with `--class-names` (python -m lssat.prepare) and "
            "name its folder instead"
        )
    return ConfigError(
        f"the data sets of `data.source` must have the same {what}, but `{one}` has {listed(first)} and `{other}` has "
        f"{listed(second)}; {', or '.join(repairs) or f'name another task, or {what} that both have'}"
    )


def _check_validate_on(infos: Mapping[str, DatasetInfo], name: str) -> None:
    """Raises ConfigError."""
    if name not in infos:
        raise ConfigError(
            f"`data.validate_on` names `{name}`, which is none of the data sets; {nearest(name, infos, 'they are')}"
        )
    for split in ("val", "test"):
        if infos[name].rows and not infos[name].rows[split]:
            able = [other for other, info in infos.items() if info.rows.get("val") and info.rows.get("test")]
            raise ConfigError(
                f"`data.validate_on` names `{name}`, which has no image in split `{split}`; those that have are "
                f"{listed(able) or 'none'}"
            )
