"""What may be asked of a source on disk: its listing, by the reader of its kind, and its fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from lssat.data.sources import files, huggingface, own
from lssat.data.sources.listing import Listing
from lssat.data.sources.published import (
    affectnet,
    celeba,
    celebdf,
    deepfakebench,
    df40,
    dfdc,
    faceforensics,
    fairface,
    fer,
    rafdb,
)
from lssat.data.sources.reading import files_below, image_files
from lssat.data.sources.source import OWN, Source
from lssat.data.sources.tables import TABLES
from lssat.settings.data import DataConfig

Reader = Callable[[Source, DataConfig], Listing]
READERS: dict[str, Reader] = {
    OWN: own.listing,
    "table": own.listing,
    "files": files.listing,
    "huggingface": huggingface.listing,
    "celeba": celeba.listing,
    "affectnet": affectnet.listing,
    "faceforensics": faceforensics.listing,
    "celebdf": celebdf.listing,
    "celebdfpp": celebdf.listing_of_scenarios,
    "dfdc": dfdc.listing,
    "deepfakebench": deepfakebench.listing,
    "df40": df40.listing,
    "fairface": fairface.listing,
    "rafdb": rafdb.listing,
    "fer2013": fer.listing,
    "ferplus": fer.listing,
}


def open_listing(source: Source, data: DataConfig) -> Listing:
    """Names, labels and splits of a source, checked; no image or video is opened. Raises ConfigError."""
    return READERS[source.kind](source, data)


def fingerprint(source: Source) -> str:
    """sha256 of what a source holds: a table's bytes; name, size and time of change of its files.

    Raises ConfigError where a table cannot be read.
    """
    digest = hashlib.sha256()
    root = source.path
    if source.path.is_file():
        root = source.path.parent
        with source.path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for name in _files(source, root):
        try:
            status = os.stat(f"{root}/{name}")
            state = f"{status.st_size} {status.st_mtime_ns}"
        except (OSError, ValueError):
            state = "absent"
        digest.update(f"{name}\0{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(source: Source, root: Path) -> list[str]:
    """What belongs to the source beside a table: the files that it names, or all of the folder."""
    if source.path.is_file() and source.path.suffix.lower() in TABLES:
        return [] if source.kind == "huggingface" else image_files(source)
    return sorted(files_below(root))
