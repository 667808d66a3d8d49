"""What a person points at -> files."""

from __future__ import annotations

import glob
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
    path = Path(source)
    if path.is_dir():
        endings = (*IMAGE_ENDINGS, *VIDEO_ENDINGS)
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in endings and file.is_file())
        if not inside:
            raise UserError(f"`{source}` holds no photos or videos ({', '.join(endings)})")
        yield from inside
    elif not path.exists() and glob.has_magic(source):
        matching = [file for file in map(Path, sorted(glob.glob(source, recursive=True))) if not file.is_dir()]
        if not matching:
            raise UserError(f"no file matches `{source}`")
        yield from matching
    else:
        yield path
