"""`results/x#0007` -> the run that is meant, or what is wrong with the name of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lssat.config import current_keys
from lssat.errors import ConfigError
from lssat.text.did_you_mean import did_you_mean, nearest
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest, read_manifest
from search.record.names import AGAIN
from search.record.trials import TrialRecord

EXAMPLE = "results/x#0007"


@dataclass(frozen=True)
class RecordedRun:
    """A run that is on record in the study of `folder`: a trial, or a run of a later stage."""

    folder: RunFolder
    stage: Stage
    record: TrialRecord
    manifest: Manifest

    @property
    def name(self) -> str:
        """As it is asked for."""
        return f"{self.folder.name}#{self.record.name}"

    @property
    def place(self) -> RunFolder:
        """Where it is trained anew, out of the record's way."""
        return RunFolder(self.folder.path / AGAIN)

    def changed_settings(self) -> list[str]:
        """The settings that are not what they were: this version has another default, or lacks the key."""
        then = current_keys(self.record.resolved)
        now: dict[str, Any] = self.record.config.flat()
        keys = [key for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
        return [f"{key} {_said(then, key)} then, {_said(now, key)} now" for key in keys]


def find(text: str) -> RecordedRun:
    """The run that a text such as `results/x#0007` names. Raises ConfigError."""
    path, hash_sign, name = text.rpartition("#")
    if not hash_sign or not path or not name:
        raise ConfigError(
            f"`--again` takes the folder of a study, `#` and a trial or a run of its final stage, as in {EXAMPLE}, but "
            f"got {text!r}"
        )
    folder = RunFolder(Path(path).resolve())
    if not folder.manifest.is_file():
        studies = [each.parent.name for each in sorted(folder.path.parent.glob(f"*/{folder.manifest.name}"))]
        near = did_you_mean(folder.name, studies)
        repair = near or (nearest(folder.name, studies, "there are") if studies else "name a folder below results/")
        raise ConfigError(f"there is no study in {path}; {repair}")
    manifest = read_manifest(folder.manifest)
    for stage in Stage:
        record = folder.record(stage, name)
        if name == Path(name).name and record.exists:
            _check(record, manifest)
            return RecordedRun(folder, stage, record, manifest)
    known = [record.name for stage in Stage for record in folder.records(stage)]
    there = nearest(name, known, "it has") if known else "it has none yet"
    raise ConfigError(f"the study in {path} has no trial and no run of a later stage `{name}`; {there}")


def _check(record: TrialRecord, manifest: Manifest) -> None:
    """Raises ConfigError where the run cannot be trained anew, or has nothing to be compared with."""
    try:
        _ = record.config
        _ = record.resolved
    except (ConfigError, ValueError, KeyError, TypeError) as error:
        commit = manifest.content.get("commit")
        version = f"check out the version that began the study ({commit})" if commit else "take the version of then"
        raise ConfigError(
            f"the settings of {record.name} are not ones of this version ({error}); {version}, and train it again there"
        ) from None
    if not record.num_epochs:
        outcome = record.outcome
        how = f"it {outcome.status}: {outcome.reason}" if outcome else "it has not finished its first"
        raise ConfigError(f"{record.name} has no epoch on record to be compared with ({how}); choose another row")


def _said(flat: dict[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else "(no such setting)"
