"""What a person points at -> files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lssat.data.sources.tree import IMAGE_ENDINGS, VIDEO_ENDINGS
from lssat.errors import UserError

STANDARD_INPUT = "-"


def files_of(sources: Sequence[str], listed: Iterable[str]) -> list[Path]:
    """Each file once, in order. Those of folders, at any depth, count by their endings; a file that is named counts
    whatever it is called, and whether it is there is seen when it is opened. `listed`: the lines that `-` stands for.

    Raises UserError for a folder or pattern that holds nothing.
    """
    return list(dict.fromkeys(path for source in sources for path in _files(source, listed)))


def _files(source: str, listed: Iterable[str]) -> Iterator[Path]:
    if source == STANDARD_INPUT:
        lines = [Path(line.rstrip("\r\n")) for line in listed if line.strip()]
        if not lines:
            raise UserError("the list on standard input names no file; give one path a line")
        yield from lines
        return
    if os.path.isdir(source):  # pathlib's raises OSError for a name that is too long
        yield from _inside(source)
    elif not os.path.exists(source) and glob.has_magic(source):
        matching = [file for file in map(Path, sorted(glob.glob(source, recursive=True))) if not os.path.isdir(file)]
        if not matching:
            raise UserError(f"no file matches `{source}`")
        yield from matching
    else:
        yield Path(source)


def _inside(folder: str) -> list[Path]:
    """Photos and videos in a folder, at any depth."""

    def refuse(error: OSError) -> None:
        raise UserError(
            f"the folder `{error.filename}` cannot be read ({error.strerror}); mend that, or name other sources"
        )

    endings = (*IMAGE_ENDINGS, *VIDEO_ENDINGS)
    all_files = (Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names)
    found = sorted(file for file in all_files if file.suffix.lower() in endings and os.path.isfile(file))
    if not found:
        raise UserError(f"`{folder}` holds no photos or videos ({', '.join(endings)})")
    return found
