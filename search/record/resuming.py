"""The line that goes on with a study, from the one that was typed for it before."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lssat.command import from_here
from search.record.folder import RunFolder

WAYS_TO_BEGIN = {"--resume": 0, "--overwrite": 0, "--extend": 1}
"""Ways to begin a session that the line must not repeat, with how many values they take. The trials of an extension are
in the manifest."""
PLACES = {"--name": 1, "--results": 1}
"""Where the run folder was: it may have been renamed or moved since."""


def resume_line(program: Sequence[str], words: Sequence[str], folder: RunFolder) -> str:
    """What to type to go on with the study in a run folder, as it is called now. `words`: the arguments of a session of
    before.
    """
    parent = folder.path.resolve().parent
    elsewhere = [] if parent == Path("results").resolve() else ["--results", from_here(parent)]
    name = folder.path.resolve().name
    return shlex.join([*program, *_kept(words), "--resume", *elsewhere, "--name", name])


def _kept(words: Sequence[str]) -> list[str]:
    """The words without the options that are said anew."""
    kept, to_skip = [], 0
    for word in words:
        option, _, value = word.partition("=")
        if to_skip:
            to_skip -= 1
        elif (number := _values_of(option)) is None:
            kept.append(word)
        elif not value:
            to_skip = number
    return kept


def _values_of(option: str) -> int | None:
    """How many values follow an option that is said anew, which may be abbreviated; None of other words."""
    if len(option) < len("--x") or not option.startswith("--"):
        return None
    return next((number for name, number in {**WAYS_TO_BEGIN, **PLACES}.items() if name.startswith(option)), None)
