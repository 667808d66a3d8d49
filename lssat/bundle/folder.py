"""The files of a bundle, replaced as a whole, and the digest of each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from lssat.errors import ConfigError
from lssat.files import locked, make_folder, sync, write_json

WEIGHTS = "weights.safetensors"  # the encoder, in timm's own names
HEAD = "head.safetensors"  # head, decoder and mask token, in the names of `LSSAT`
CONFIG = "config.json"
LABELS = "labels.json"  # the task: its kind and classes
PREPROCESSING = "preprocessing.json"  # what an image must go through, for those who do without this package
VALIDATION = "validation.json"  # the epoch that was kept, as it was reported, and its tables by class
CALIBRATION = "calibration.json"  # the temperature; absent where the checkpoint kept no predictions
TEST = "test.json"  # the scorecard on the test split, which whoever opens that split adds
ONNX = "model.onnx"  # for programs without torch; absent until `python -m lssat.export` has proved it
ONNX_WEIGHTS = "model.onnx.data"  # of a large one: torch puts them beside it
CARD = "MODEL_CARD.md"
MANIFEST = "bundle.json"  # format, versions of libraries, sha256 of every other file
FORMAT = 2  # 1: all tensors in one file, and no manifest
LIBRARIES = ("av", "onnxruntime", "pillow", "safetensors", "timm", "torch")  # what decides pixels and numbers
ANSWERS = (WEIGHTS, HEAD, CONFIG, LABELS, PREPROCESSING, CALIBRATION)  # the files that decide what a winner answers
FILES = (*ANSWERS, VALIDATION, TEST, ONNX, ONNX_WEIGHTS, CARD)
"""All that a bundle may hold beside its manifest; whatever else lies in its folder is somebody's own."""


class Place(NamedTuple):
    """Where a bundle is, and which folder that is: another one has another number."""

    path: Path
    number: int | None


class Checked(NamedTuple):
    """`digest`: of all that decides what a winner answers; `notes`: what is to be said of the bundle's versions."""

    digest: str
    notes: tuple[str, ...]


def replace_whole(folder: Path, write: Callable[[Path], object]) -> None:
    """Put what `write` writes into the folder it is given, and a manifest, in the place of `folder`.

    A kill at any moment leaves the old bundle or the new one: a folder that has entries cannot be replaced in one step,
    so the old one steps aside, where `located` finds it until the new one has come. What else lies in the folder stays.
    Other processes that replace it wait.
    """
    folder = folder.resolve()
    make_folder(folder.parent)
    with locked(_beside(folder, "lock")):
        _settle(folder)
        _replace(folder, write)


def _replace(folder: Path, write: Callable[[Path], object]) -> None:
    staging, aside = _beside(folder, "partial"), _beside(folder, "before")
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
        _settle(folder)
        raise
    sync(folder.parent)
    _settle(folder)


def _settle(folder: Path) -> None:
    """Delete a bundle that had stepped aside, but for what is not of it, or bring it back where no new one came. For
    those who hold the lock: to others a bundle may be aside for a moment only.
    """
    aside = _beside(folder, "before")
    if not aside.exists():
        return
    if not folder.exists():
        aside.replace(folder)
        return
    for path in aside.iterdir():
        if path.name not in (*FILES, MANIFEST) and not os.path.lexists(folder / path.name):
            path.replace(folder / path.name)
    shutil.rmtree(aside, ignore_errors=True)


def located(folder: Path) -> Place:
    """Where a bundle is for who reads it: aside, while another one takes its place or where a kill left it there."""
    aside = _beside(folder, "before")
    path = aside if os.path.exists(aside) and not os.path.exists(folder) else folder
    try:
        return Place(path, path.stat().st_ino)
    except OSError:
        return Place(path, None)


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
    unknown = [name for name in FILES if name not in content["sha256"] and os.path.lexists(folder / name)]
    if unknown:
        raise ConfigError(
            f"`{folder / unknown[0]}` is not of this bundle: its `{MANIFEST}` does not have it; delete that file"
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
    if not (located(folder).path / MANIFEST).exists():
        raise ConfigError(
            f"the bundle in `{folder}` is of an older format, which nothing can be added to; delete it and go on with "
            "its run by `--resume`, which makes it anew"
        )


def read(path: Path) -> Any:
    """The JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _manifest(folder: Path) -> dict[str, Any]:
    files = sorted(folder / name for name in FILES if (folder / name).exists())
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


def _beside(folder: Path, ending: str) -> Path:
    """A hidden neighbour of the folder, which may be named as `.`, as `best/../best` or by a link."""
    real = folder.resolve()
    return real.parent / f".{real.name}.{ending}"


def _copy_anew() -> str:
    return "copy it anew from the run that made it, or delete it there and go on with the run by `--resume`"
