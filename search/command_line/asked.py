"""The space that a command line asks for, and what the data say to it, before anything that takes seconds to import."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lssat.errors import ConfigError
from search.record.folder import RunFolder
from search.record.going_on import MAY_CHANGE
from search.record.locking import folder_name
from search.record.manifest import DATA_SOURCE, OVER, Manifest, notify_of_other_versions, read_manifest
from search.space.data_rules import check_objective, check_sampling
from search.space.definition import Space
from search.space.file import load, with_search
from search.space.quick import changes, smoke_settings
from search.space.yaml_lines import scalar

if TYPE_CHECKING:
    from lssat.data.prepare.look import Look

GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")
VISIBLE_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
NO_DEVICES = ("", "none", "nodevfiles")


@dataclass(frozen=True)
class Asked:
    """`overrides`: settings of the search that the command line gives. `data`: what they are before they are prepared.

    `changed`: what a smoke run changed.
    """

    space: Space
    overrides: dict[str, Any]
    data: Look
    changed: str = ""


def asked(arguments: argparse.Namespace) -> Asked:
    """The space of a file or of a manifest, and a look at its data. Raises ConfigError."""
    space, pinned, overrides = _space(arguments)
    found = _look(space)
    if not arguments.quick:
        return Asked(space, overrides, found)
    from lssat.data.prepared.selection import used_shares

    listed = found.info.rows.get("train")
    num_learnt = listed and round(listed * used_shares(found.cells, space.example().data)["train"])
    smoke_pinned, smoke_search = smoke_settings(space, num_learnt)
    smoke = load(arguments.space, space.profile, {**smoke_pinned, **pinned}, {**smoke_search, **overrides})
    return Asked(smoke, overrides, found, changes(space, smoke))


def _look(space: Space) -> Look:
    from lssat.data.prepare.look import look  # not for `--help`
    from lssat.data.prepared.selection import check_folds, check_hold_out, folds_of

    config = space.example()
    with space.naming_lines():
        found = look(config.data)
        check_objective(config.objective, found.info.kind, found.info.columns)
        check_sampling(config.data, config.optim.class_balanced, found.info.kind, found.info.columns)
        check_hold_out(found.info, config.data, found.cells or ())
    if not space.search.rotate or found.cells is None:
        return found
    folds, why_not = folds_of(found.info, config.data, found.cells)
    check_folds(folds, why_not, space.locations.get("search.rotate"))
    return found._replace(folds=len(folds))


def _space(arguments: argparse.Namespace) -> tuple[Space, dict[str, Any], dict[str, Any]]:
    """The space, and the settings that the command line pins, of trials and of the search."""
    pinned = _pinned(arguments)
    overrides = {key.removeprefix("search."): pinned.pop(key) for key in list(pinned) if key.startswith("search.")}
    if arguments.num_trials is not None:
        overrides["num_trials"] = arguments.num_trials
    if arguments.hours is not None:
        overrides["hours"] = arguments.hours
    if arguments.space.suffix != ".json":
        profile = _profile(arguments)
        space = load(arguments.space, profile, pinned, overrides)
        if _is_task_of_folders(arguments, space):
            from lssat.data.prepare.look import FOLDERS

            pinned["data.task"] = FOLDERS
            space = load(arguments.space, profile, pinned, overrides)
        return space, pinned, overrides
    moved = {key: pinned.pop(key) for key in (DATA_SOURCE, OVER) if arguments.resume and key in pinned}
    begins_from = arguments.earlier and not arguments.resume
    if arguments.quick or pinned or begins_from or overrides.keys() - set(MAY_CHANGE if arguments.resume else ()):
        raise ConfigError(
            "a manifest is run again as it is; leave out `--quick`, `--from`, `--set`, `--data`, `--task`, "
            "`--classes`, `--class-names` and `--num-trials` (with `--resume`, how long to search, how the final "
            "stage is and where the data are may be set), or give a space file"
        )
    recorded = read_manifest(arguments.space, repair="give a space file")
    if not arguments.resume and arguments.extend is None:  # a session that goes on says it by itself
        notify_of_other_versions(recorded, print)
    arguments.name = arguments.name or _name_now(recorded, arguments)
    space = replace(recorded.space, fixed={**recorded.space.fixed, **moved})
    return (with_search(space, overrides) if overrides or OVER in moved else space), pinned, overrides


def _is_task_of_folders(arguments: argparse.Namespace, space: Space) -> bool:
    """Whether the task has no name but that of the default, which is one of synthetic faces.

    Under that the version before began studies, which go on as they were. Raises ConfigError.
    """
    from lssat.data.prepare.look import is_class_folder

    data = space.example().data
    with space.naming_lines():
        if "data.task" in space.fixed or not is_class_folder(*data.sources):
            return False
    folder = RunFolder(arguments.results.resolve() / folder_name(arguments.name, arguments.space, data))
    goes_on = (arguments.resume or arguments.extend is not None) and folder.has_begun
    return not (goes_on and "data.task" not in read_manifest(folder.manifest).space.fixed)


def _name_now(recorded: Manifest, arguments: argparse.Namespace) -> str:
    """The study's name; of a study that goes on that of its folder, which may have been renamed."""
    folder = recorded.path.resolve().parent
    goes_on = arguments.resume or arguments.extend is not None
    return folder.name if goes_on and folder.parent == arguments.results.resolve() else recorded.name


def profile_found(arguments: argparse.Namespace, space: Space) -> str:
    """The profile, and why it was taken where nobody asked for it."""
    if arguments.profile != "auto" or arguments.space.suffix == ".json":
        return space.profile
    found = "a GPU was found" if space.profile == "gpu" else "no GPU was found"
    if not arguments.address and (name := _hides_gpus()):
        found = f"{name}={os.environ[name]} hides all GPUs"
    return f"{space.profile} (taken because {found})"


def _profile(arguments: argparse.Namespace) -> str:
    if arguments.profile != "auto":
        return str(arguments.profile)
    if arguments.address:
        from search.study.cluster import has_gpus

        return "gpu" if has_gpus(arguments.address) else "laptop"
    is_there = any(Path(device).exists() for device in GPU_DEVICES)
    return "gpu" if is_there and not _hides_gpus() else "laptop"


def _hides_gpus() -> str | None:
    """The variable of the environment that hides all GPUs from this process; None where none does."""
    given = {name: os.environ[name].strip().lower() for name in VISIBLE_DEVICES if name in os.environ}
    return next((name for name, text in given.items() if text in NO_DEVICES or text.startswith("-")), None)


def refuse_beside_again(arguments: argparse.Namespace) -> None:
    """Raises ConfigError where a command line would change what `--again` trains: that is on record."""
    given = {
        "--set": bool(arguments.pins),
        "--task": arguments.task is not None,
        "--classes": arguments.classes is not None,
        "--class-names": arguments.class_names is not None,
        "--num-trials": arguments.num_trials is not None,
        "--hours": arguments.hours is not None,
        "--name": arguments.name is not None,
        "--quick": arguments.quick,
        "--from": bool(arguments.earlier),
    }
    if wrong := [option for option, is_there in given.items() if is_there]:
        raise ConfigError(
            f"`--again` trains a run as it is on record, so leave out {', '.join(f'`{option}`' for option in wrong)}; "
            "`--data` may name where the data lie now"
        )


def pinned_source(arguments: argparse.Namespace) -> str | list[str] | None:
    """The data that a command line names, if any."""
    from lssat.data.sources.source import SYNTHETIC, absolute

    if arguments.data is None:
        return None
    sources = [text if text == SYNTHETIC else absolute(text) for text in arguments.data]
    return sources if len(sources) > 1 else sources[0]


def _pinned(arguments: argparse.Namespace) -> dict[str, Any]:
    pinned: dict[str, Any] = {}
    if (source := pinned_source(arguments)) is not None:
        pinned[DATA_SOURCE] = source
    if arguments.task is not None:
        pinned["data.task"] = arguments.task
    if arguments.classes is not None:
        pinned["data.classes"] = arguments.classes.split(",")
    if arguments.class_names is not None:
        pinned["data.class_names"] = arguments.class_names.split(",")
    for pin in arguments.pins:
        key, equals, value = pin.partition("=")
        if not equals:
            raise ConfigError(f"`--set` takes KEY=VALUE, but got {pin!r}")
        pinned[key] = scalar(value)
    return pinned
