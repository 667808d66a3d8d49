"""`--from`: earlier studies -> what a space takes over of them, before anything is launched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lssat.errors import ConfigError
from lssat.task import Kind, Task
from search.earlier.mapping import settings_of
from search.earlier.trials import ranked, taken_over, tried_first
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest, read_manifest
from search.record.trials import Status, TrialRecord
from search.space.definition import EarlierStudy, EarlierTrial, Space

WHAT_IS_SCORED = ("data.hold_out", "data.held_out", "data.validate_on")
"""Keys by which rows are chosen that a score is of."""


@dataclass(frozen=True)
class Wanted:
    """The study that is to begin: its run folder, and the task and kind of its data."""

    folder: RunFolder
    task: str
    kind: Kind


def begun_from(space: Space, folders: Sequence[Path], wanted: Wanted) -> Space:
    """The space with what it takes over of the studies in these folders, those named first before others. Raises
    ConfigError where one tells nothing.
    """
    if folders and space.search.sampler == "grid":
        raise ConfigError("`--from` does not go with `search.sampler` grid, which tries every point; leave it out")
    own = wanted.folder.path.resolve()
    for number, folder in enumerate(folders):
        if folder.resolve() == own:
            raise ConfigError(f"`--from {folder}` is the study itself; `--resume` and `--extend N` go on with it")
        if folder.resolve() in [other.resolve() for other in folders[:number]]:
            raise ConfigError(f"`--from {folder}` is given twice; leave one out")
        space = replace(space, earlier=(*space.earlier, _study(RunFolder(folder), space, wanted)))
    return space


def _study(folder: RunFolder, space: Space, wanted: Wanted) -> EarlierStudy:
    if not folder.manifest.is_file():
        raise ConfigError(f"`--from {folder.path}`: there is no study; give the folder of a run, results/<name>")
    manifest = read_manifest(folder.manifest, "restore it from a copy, or leave `--from` out")
    _check_alike(folder, manifest, space, wanted)
    trials, left_out = _trials(folder, space)
    if not trials:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common()) or "it has none"
        raise ConfigError(f"`--from {folder.path}`: none of its trials can be taken over ({why}); leave it out")
    content = manifest.content
    return EarlierStudy(
        folder.path.resolve().name,
        str(content["resolved"]["data"]),
        content.get("storage_line"),
        tuple(trials),
        tried_first(trials, space),
        dict(left_out),
    )


def _check_alike(folder: RunFolder, manifest: Manifest, space: Space, wanted: Wanted) -> None:
    """Raises ConfigError where its scores are of another kind than those of the study that begins."""
    data = manifest.content["data"]
    then = Task(str(data.get("task", wanted.task)), data.get("kind", wanted.kind), (), (), 0)
    now = Task(wanted.task, wanted.kind, (), (), 0)
    metrics = [
        task.score_metric(str(of.fixed.get("objective.metric", "auto")))
        for task, of in ((then, manifest.space), (now, space))
    ]
    what_is_scored = (*WHAT_IS_SCORED, *(["objective.subgroups"] if "worst_group" in metrics else []))
    compared = {
        "kind of task": (then.kind, now.kind),
        "`objective.metric`": (metrics[0], metrics[1]),
        "`search.objectives`": (", ".join(manifest.space.search.objectives), ", ".join(space.search.objectives)),
        **{f"`{key}`": (_said(manifest.space, key), _said(space, key)) for key in what_is_scored},
    }
    for what, (theirs, ours) in compared.items():
        if theirs != ours:
            raise ConfigError(
                f"`--from {folder.path}`: its {what} is {theirs}, that of this study {ours}, so that the best there is "
                "not what is sought here; leave `--from` out, or set the same"
            )


def _said(space: Space, key: str) -> str:
    """A fixed key in words; the order of several values says nothing."""
    value = space.fixed.get(key)
    return ", ".join(sorted(map(str, value))) if isinstance(value, list) else str(value or "none")


def _trials(folder: RunFolder, space: Space) -> tuple[list[EarlierTrial], Counter[str]]:
    """What can be taken over, the best first; and why -> how many others."""
    taken: list[EarlierTrial] = []
    left_out: Counter[str] = Counter()
    for record in folder.records(Stage.SEARCH):
        found = _trial(record, space)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            taken.append(found)
    return ranked(taken), left_out


def _trial(record: TrialRecord, space: Space) -> EarlierTrial | str:
    """The trial in terms of the space, or why it is left out."""
    if record.damage:
        return "damaged"
    if not record.name.isdecimal():
        return "of another name, which somebody copied"
    if record.status in (Status.FAILED, Status.INFEASIBLE):
        return str(record.status)
    best = [result.best for result in record.epochs]
    return taken_over(record.name, settings_of(record.config), best, record.config.optim.epochs, space)
