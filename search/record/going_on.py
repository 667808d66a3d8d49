"""How a study goes on: which space, data and storage it may go on with, and which it may not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lssat.errors import ConfigError
from lssat.storage.patience import StorageLost
from lssat.storage.place import Place
from search.record.folder import RunFolder, Storage
from search.record.manifest import DATA_SOURCE, OVER, SCORED_BY, Manifest, as_json
from search.space.definition import Space
from search.space.settings import SearchConfig

MAY_CHANGE = (
    "num_trials",
    "max_concurrent",
    "hang_minutes",
    "max_epochs",
    "max_hours",
    "hours",
    "max_gpu_hours",
    "patience",
    "min_improvement",
    "finalists",
    "finalists_per",
    "supervised",
    "final_seeds",
    "rotate",
    "margin",
)
"""Settings of the search that may change when a study goes on: how long and how wide it is, and how it is told.

So may `objective.over`: what `search.rotate` trains is scored by it, and may begin later as well.
"""
MAY_DIFFER = {"search": MAY_CHANGE, "fixed": (OVER,)}
"""The same by part of the space."""
THE_DATA = "the data"


def continued(manifest: Manifest, space: Space, num_added: int | None, keeps_num_trials: bool) -> Space:
    """The space of this study as it goes on.

    Optuna's names of its parameters stay those that the study began with, and so do the number of seeds and the
    baselines of the final stage where nobody sets them. `num_added` trials are added to those that it was asked for
    so far, extensions included; with `keeps_num_trials` it stays at those. What earlier studies told it is on
    record: their folders may be gone. Raises ConfigError.
    """
    is_grid = space.search.sampler == "grid"
    if num_added is not None and num_added < 1:
        raise ConfigError(f"`--extend` must be at least 1, but got {num_added}")
    if num_added is not None and is_grid:
        raise ConfigError("a grid has no more points to add")
    begun = {(each.key, tuple(sorted(each.when.items()))): each.name for each in manifest.space.parameters}
    named = tuple(
        replace(each, name=begun.get((each.key, tuple(sorted(each.when.items()))), each.name))
        for each in space.parameters
    )
    search = space.search
    kept = {"final_seeds", "supervised"} - search.model_fields_set  # their defaults were others before
    search = search.model_copy(update={name: getattr(manifest.space.search, name) for name in kept})
    space = replace(space, parameters=named, search=search, earlier=manifest.space.earlier)
    if is_grid or (num_added is None and not keeps_num_trials):
        return space
    num_trials = manifest.space.search.num_trials + (num_added or 0)
    return replace(space, search=space.search.model_copy(update={"num_trials": num_trials}))


def at_recorded_place(manifest: Manifest, space: Space) -> Space:
    """The space with the data where they were when the study began: their fingerprint tells whether they are the
    same, and every trial keeps the settings that it began with.
    """
    recorded = manifest.space.fixed.get(DATA_SOURCE)
    return space if recorded is None else replace(space, fixed={**space.fixed, DATA_SOURCE: recorded})


def check_goes_on(manifest: Manifest, space: Space, fingerprint: str) -> None:
    """Raises ConfigError where the study cannot go on with this space or these data, wherever they are."""
    resolved = {"space": as_json(at_recorded_place(manifest, space)), "data": fingerprint}
    if differences := _differences(manifest.content["resolved"], resolved):
        copied = " (a copy must keep the times of its files, as `cp -a` does)" if THE_DATA in differences else ""
        raise ConfigError(
            f"`--resume` needs the same space and data, but these differ: {', '.join(differences)}{copied}; undo "
            "the change, or choose another `--name`"
        )


def check_began_from(manifest: Manifest, folders: Sequence[Path]) -> None:
    """Raises ConfigError where it began from other studies than those in the folders: that is on record, and stays.
    The folders themselves may be gone, and it may be gone on with without naming them.
    """
    known = [study.name for study in manifest.space.earlier]
    if unknown := [folder for folder in folders if folder.resolve().name not in known]:
        raise ConfigError(
            f"`--from {unknown[0]}`: the study that goes on began from {', '.join(known) or 'no other'}, which "
            "stays; leave `--from` out, or begin another study by `--name`"
        )


def check_scores_alike(manifest: Manifest, scored_by: str) -> None:
    """Raises ConfigError where the scores of this study so far mean something else than those to come."""
    if scored_by == manifest.content["data"].get(SCORED_BY, "row"):
        return
    words = manifest.command
    named = words.index("--name") if "--name" in words else len(words)
    again = shlex.join(["python", *words[:named], *words[named + 2 :], "--name", f"{manifest.name}-by-video"])
    raise ConfigError(
        "this study scored every frame by itself, as versions before did, and scores are now of whole videos (the "
        "mean probability of their frames), so that old and new ones do not compare; its results so far stay "
        f"readable in {manifest.path.parent}; begin a new study:\n  {again}"
    )


def check_rotates_alike(manifest: Manifest, search: SearchConfig, values: Sequence[str]) -> None:
    """`values`: that these data have to hold out one after the other. Raises ConfigError where this study has others,
    so that a run of the final stage might learn from what it is to be scored on.
    """
    rotation = manifest.rotation_of(search)
    if rotation and [*rotation.values] != [*values]:
        raise ConfigError(
            f"this study holds out {', '.join(rotation.values)} one after the other, but its data now have "
            f"{', '.join(values) or 'none'}: go on without (`--set search.rotate=false`), or begin another study by "
            "`--name`"
        )


def storage_now(manifest: Manifest, asked: Place | None, folder: RunFolder) -> Storage:
    """Where the checkpoints are, after a move as well: in the run folder or, in the folder `asked` for with
    `--storage`, under its name of today or then. Its mark tells.

    Raises StorageLost where they should be but the mark is not there, ConfigError where they are elsewhere.
    """
    places = [Place.of(folder.path)] if asked is None else [asked / folder.name, asked / manifest.storage.name]
    line = manifest.content.get("storage_line")
    if line is None:
        return _storage_of_old(manifest, places, folder)
    for storage in (Storage(path, line) for path in places):
        if storage.mark.is_there:
            storage.check_owner(folder)
            return storage
    if manifest.storage in places:
        Storage(manifest.storage, line).mark.check()
    raise ConfigError(
        f"the checkpoints of this study were in {manifest.storage}, and are not in {places[0]}; name the folder that "
        f"they were in by `--storage {manifest.storage.parent}`, or the one that it was moved to; where they were in "
        "the run folder, leave `--storage` out"
    )


def _storage_of_old(manifest: Manifest, places: Sequence[Place], folder: RunFolder) -> Storage:
    """The storage of a study that a version without marks began; from now on it has one."""
    is_own = not any(word.partition("=")[0] == "--storage" for word in manifest.content["sessions"][-1]["command"])
    if manifest.storage in places and not Path(manifest.storage.path).is_dir():
        raise StorageLost(
            f"the checkpoints of this study must be in {manifest.storage}, but there is no such folder; mount it again "
            "and go on with `--resume`"
        )
    own = Place.of(folder.path)
    if manifest.storage in places or (is_own and own in places):
        return Storage(manifest.storage if manifest.storage in places else own)
    raise ConfigError(
        f"the checkpoints of this study are in {manifest.storage}; resume it with `--storage {manifest.storage.parent}`"
    )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of what differs; how long and how wide a study runs may change."""
    found = [] if old["data"] == new["data"] else [THE_DATA]
    for part in old["space"].keys() | new["space"].keys():
        before, after = old["space"].get(part), new["space"].get(part)
        if part in MAY_DIFFER:
            free = dict.fromkeys(MAY_DIFFER[part])
            before, after = {**before, **free}, {**after, **free}
        if before == after:
            continue
        changed = f" ({', '.join(sorted(_changed(before, after)))})" if isinstance(before, dict) else ""
        found.append(f"`{part}`{changed}")
    return sorted(found)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
