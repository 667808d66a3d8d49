"""The spaces that come with the project are found from every folder, in a clone and where it is installed."""

from __future__ import annotations

from pathlib import Path

from lssat.command import local_path

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "spaces", PACKAGE.parent / "spaces")
"""Where they are in an installed package (setup.py), and in a clone."""


def space_path(text: str) -> Path:
    """The type of command-line arguments that are spaces: `spaces/NAME.yaml` is the one that comes with the project
    where the current folder has none of that name.
    """
    path = local_path(text)
    if path.exists() or path.parent != Path("spaces"):
        return path
    return next((place / path.name for place in PLACES if (place / path.name).exists()), path)
