"""A folder of files among objects: each file under a name that was never used, then a manifest with their checksums.

Objects have no rename that replaces a folder in one step, so the manifest is that step: what it does not name is no
part of the folder, and a kill before it is written leaves the folder of before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lssat.storage.place import Place

MANIFEST = "manifest.json"
KEPT = ".manifest.json"
"""Beside the files on this machine: the manifest that they were fetched or sent by."""
TRIES = 3
"""Times that a folder is fetched which is replaced meanwhile, or comes damaged."""


def manifest_of(place: Place) -> bytes | None:
    """The manifest of the folder at a URL, which changes with every new one; None: there is no whole one. Raises
    StorageLost, OSError.
    """
    try:
        return (place / MANIFEST).read()
    except FileNotFoundError:
        return None


def send_whole(folder: Path, place: Place) -> None:
    """Put a folder's files in the place of those at a URL. Raises StorageLost, OSError; what is there then stays."""
    (folder / KEPT).unlink(missing_ok=True)
    generation = secrets.token_hex(8)
    files = {}
    for file in sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")):
        (place / generation / file.name).send(file)
        files[file.name] = {"bytes": file.stat().st_size, "sha256": _digest(file)}
    manifest = json.dumps({"generation": generation, "files": files}, indent=1).encode()
    (place / MANIFEST).write(manifest)
    (folder / KEPT).write_bytes(manifest)
    with suppress(OSError):  # what is left over is deleted by the next one
        stale = {name.split("/")[0] for name in place.sizes()} - {generation, MANIFEST}
        for name in stale:
            (place / name).delete()


def fetch_whole(place: Place, folder: Path) -> bool:
    """Make a folder of this machine equal to the one at a URL, if it is not; whether there is a whole one.

    Where there is none the folder is deleted: what was never whole there is not gone on from. Raises StorageLost,
    OSError.
    """
    for _ in range(TRIES):
        manifest = manifest_of(place)
        if manifest is None:
            break
        if (folder / KEPT).exists() and (folder / KEPT).read_bytes() == manifest:
            return True
        try:
            _fetch(place, json.loads(manifest), folder)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            logging.getLogger(__name__).warning("%s is not as it was written: %s", place, error)
            continue
        (folder / KEPT).write_bytes(manifest)
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def read_of_whole(place: Place, name: str) -> bytes | None:
    """One file of the folder at a URL, without the others; None where it is not there, or not as it was written.
    Raises StorageLost, OSError.
    """
    try:
        manifest = json.loads((place / MANIFEST).read())
        content = (place / manifest["generation"] / name).read()
        return content if hashlib.sha256(content).hexdigest() == manifest["files"][name]["sha256"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _fetch(place: Place, manifest: dict[str, Any], folder: Path) -> None:
    """Raises FileNotFoundError, ValueError, KeyError or TypeError where the folder at the URL is not whole."""
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name, told in manifest["files"].items():
        if name != Path(name).name:
            raise ValueError(f"{name} is no name of a file")
        (place / manifest["generation"] / name).fetch(staging / name)
        if _digest(staging / name) != told["sha256"]:
            raise ValueError(f"{name} has another checksum")
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
