"""The files of a bundle, replaced as a whole, and the digest of each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from lssat.config import ConfigError
from lssat.files import make_folder, sync, write_json

WEIGHTS = "weights.safetensors"  # the encoder, in timm's own names
HEAD = "head.safetensors"  # head, decoder and mask token, in the names of `LSSAT`
CONFIG = "config.json"
LABELS = "labels.json"  # the task: its kind and classes
PREPROCESSING = "preprocessing.json"  # what an image must go through, for those who do without this package
VALIDATION = "validation.json"  # the epoch that was kept, as it was reported, and its tables by class
CALIBRATION = "calibration.json"  # the temperature; absent where the checkpoint kept no predictions
TEST = "test.json"  # the scorecard on the test split, which whoever opens that split adds
ONNX = "model.onnx"  # for programs without torch; absent until `python -m lssat.export` has proved it
CARD = "MODEL_CARD.md"
MANIFEST = "bundle.json"  # format, versions of libraries, sha256 of every other file
FORMAT = 2  # 1: all tensors in one file, and no manifest
LIBRARIES = ("safetensors", "timm", "torch")  # what decides the numbers
ANSWERS = (WEIGHTS, HEAD, CONFIG, LABELS, PREPROCESSING, CALIBRATION)  # the files that decide what a winner answers


class Checked(NamedTuple):
    """`digest`: of all that decides what a winner answers; `notes`: what is to be said of the bundle's versions."""

    digest: str
    notes: tuple[str, ...]


def replace_whole(folder: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes into the folder it is given, and a manifest, in the place of `folder`.

    A kill at any moment leaves the old bundle or the new one: a folder that has entries cannot be replaced in one step,
    so the old one steps aside, and `settle` brings it back if the new one never came.
    """
    settle(folder)
    staging, aside = folder.with_name(f".{folder.name}.partial"), _aside(folder)
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    try:
        write(staging)
        for path in staging.iterdir():
            sync(path)  # what was copied is not on disk yet
        write_json(staging / MANIFEST, _manifest(staging))
        if folder.exists():
            folder.replace(aside)
        staging.replace(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        settle(folder)
        raise
    sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def settle(folder: Path) -> None:
    """Bring back a bundle that had stepped aside when the process that was to replace it was killed."""
    if not _aside(folder).exists():
        return
    if folder.exists():
        shutil.rmtree(_aside(folder), ignore_errors=True)
    else:
        _aside(folder).replace(folder)


def check_files(folder: Path) -> Checked:
    """Prove that each file of a bundle is as it was written, which is unknown of one of the first format.

    Raises ConfigError that names the file.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        if (folder / HEAD).exists():
            raise ConfigError(f"the bundle in `{folder}` lacks its `{MANIFEST}`; {_copy_anew()}")
        found = {name: _sha256(folder / name) for name in ANSWERS if (folder / name).exists()}
        return Checked(_digest(found), (f"`{folder}` is a bundle of an older format, without digests or temperature",))
    content = json.loads(manifest.read_text(encoding="utf-8"))
    if content["format"] != FORMAT:
        raise ConfigError(
            f"the bundle in `{folder}` is of format {content['format']}, but this version reads {FORMAT}; open it with "
            "the version of this project that made it"
        )
    for name, digest in content["sha256"].items():
        if not (folder / name).is_file():
            raise ConfigError(f"the bundle in `{folder}` lacks `{name}`; {_copy_anew()}")
        if _sha256(folder / name) != digest:
            raise ConfigError(f"`{folder / name}` is not as it was written: its sha256 differs; {_copy_anew()}")
    notes = (
        f"the bundle was made with {name} {made}, and this is {version(name)}: answers may differ slightly"
        for name, made in content["versions"].items()
        if made != version(name)
    )
    return Checked(_digest(content["sha256"]), tuple(notes))


def check_is_current(folder: Path) -> None:
    """Raises ConfigError for a bundle of an older format, which nothing can be added to."""
    if not (folder / MANIFEST).exists():
        raise ConfigError(
            f"the bundle in `{folder}` is of an older format, which nothing can be added to; delete it and go on with "
            "its run by `--resume`, which makes it anew"
        )


def read(path: Path) -> Any:
    """The JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _manifest(folder: Path) -> dict[str, Any]:
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return {
        "format": FORMAT,
        "versions": {name: version(name) for name in LIBRARIES},
        "sha256": {path.name: _sha256(path) for path in files},
    }


def _digest(sha256: dict[str, str]) -> str:
    """Of the digests of files; test results and the card, which come later, change no answer."""
    known = {name: sha256.get(name) for name in ANSWERS}
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.before")


def _copy_anew() -> str:
    return "copy it anew from the run that made it, or delete it there and go on with the run by `--resume`"
