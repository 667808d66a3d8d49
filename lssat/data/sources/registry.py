"""`data.source` -> its listing, by the reader of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lssat.config import DataConfig
from lssat.data.sources import affectnet, celeba, celebdf, deepfakebench, dfdc, faceforensics, own
from lssat.data.sources.listing import Listing
from lssat.data.sources.source import located

Reader = Callable[[Path, dict[str, str], DataConfig], Listing]
READERS: dict[str, Reader] = {
    "own": own.listing,
    "celeba": celeba.listing,
    "affectnet": affectnet.listing,
    "faceforensics": faceforensics.listing,
    "celebdf": celebdf.listing,
    "dfdc": dfdc.listing,
    "deepfakebench": deepfakebench.listing,
}


def open_listing(data: DataConfig) -> Listing:
    """Names, labels and splits of `data.source`, checked; no image or video is opened. Raises ConfigError."""
    source = located(data.source)
    return READERS[source.kind](source.path, source.options, data)
