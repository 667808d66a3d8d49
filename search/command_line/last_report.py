"""The page that a search leaves behind, however it ends."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from lssat.command import from_here, words_that_start
from lssat.errors import why_of
from search.record.folder import RunFolder
from search.record.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from rich.console import Console


def leave_report(folder: RunFolder, begun: Manifest | None, console: Console) -> None:
    """Write the report of a study whose session ends, finished or not, and say where it is. `begun`: its manifest
    before the session. After Ctrl-C charts are on the page alone: to draw them into files takes as long again.

    Where that fails one line says so: how the session ended is what the user must see, and what its exit code tells.
    """
    with suppress(Exception):  # the terminal is gone, for instance
        try:
            if _has_come_further(folder, begun):
                _write(folder, draws_charts=_came_to_its_end(folder))
                console.print(f"  {'report':<21}{shlex.quote(from_here(folder.report))}", soft_wrap=True)
        except (Exception, KeyboardInterrupt) as error:
            words = shlex.join([*words_that_start("python search/report.py"), from_here(folder.path)])
            line = f"there is no report of this session ({_why(error)}); make it by: {words}"
            console.print(" ".join(line.split()), style="yellow", soft_wrap=True)


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return why_of(error)


def _has_come_further(folder: RunFolder, begun: Manifest | None) -> bool:
    """Whether this session has begun: before that nothing is new, and there may be no study at all."""
    if not (folder.has_begun and folder.manifest.exists()):
        return False
    num_before = len(begun.content["sessions"]) if begun else 0
    return len(read_manifest(folder.manifest).content["sessions"]) > num_before


def _came_to_its_end(folder: RunFolder) -> bool:
    """Whether nobody waits at a prompt for an interrupted session to end."""
    return read_manifest(folder.manifest).content["sessions"][-1]["ended"] is not None


def _write(folder: RunFolder, draws_charts: bool) -> None:
    from search.page.files import write  # what draws is slow to import, and a session may never come so far
    from search.page.report import report_of

    write(report_of([folder.path], is_over=True), folder.path, draws_charts)
