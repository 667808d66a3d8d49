"""How the study was made: enough to make it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lssat.command import from_here
from search.earlier.words import held, not_taken
from search.page.document import Block, Cell, Section, Statement, Table
from search.page.study import StudyOnPage
from search.record.folder import Stage
from search.record.manifest import DATA_SOURCE
from search.record.names import MANIFEST
from search.space.definition import Parameter, defaults
from search.space.settings import SearchConfig

ABSOLUTE = re.compile(r"(?:(?<==)|(?<=,)|^)(?:~[^/,]*)?/[^,]*")
"""A word, or what follows `=` or a comma in one, that begins at the root of a disk, or at somebody's home."""
UNKNOWN = "not recorded: it was cut short, or runs"


def section(study: StudyOnPage) -> Section:
    """Closed until a reader wants it."""
    return Section("made", "How it was made", list(_blocks(study)), is_folded=True)


def _blocks(study: StudyOnPage) -> Iterator[Block]:
    manifest = from_here(study.folder.manifest)
    words = ["python", "search/run.py", "--space", manifest, "--name", f"{study.folder.name}-again"]
    yield Statement(f"{study.id}.made.again", "Run the whole study again, as it was.", command=shlex.join(words))
    yield _with(study)
    if study.manifest.space.earlier:
        yield _earlier(study)
    yield _sessions(study)
    yield _openings(study)
    yield _space(study)
    yield _settings(study)


def _with(study: StudyOnPage) -> Table:
    content = study.manifest.content
    weights: list[list[Cell]] = [
        [f"first weights of {found['architecture']}", _weights(found)] for found in study.manifest.first_weights
    ]
    rows: list[list[Cell]] = [
        ["commit", str(content.get("commit") or "not recorded")],
        ["seed", content.get("seed")],
        ["profile", study.manifest.space.profile],
        *([part, str(name)] for part, name in content.get("machine", {}).items()),
        ["data", Path(str(study.data.get("source", ""))).name],
        ["fingerprint of the data", str(study.data["fingerprint"])],
        *weights,
        *([package, str(version)] for package, version in content["versions"].items()),
    ]
    return Table(study.file("made_with"), "With what", ["what", "value"], rows, shown=len(rows))


def _weights(found: Mapping[str, str]) -> str:
    """Of a file, its name and the beginning of its digest: the page may travel."""
    origin = f"{Path(found['file']).name} (SHA-256 {found['sha256'][:12]}...)" if "file" in found else "timm's hub"
    return f"{origin}: {found['match']}"


def _earlier(study: StudyOnPage) -> Table:
    """The studies that it began from."""
    space = study.manifest.space
    reached = {
        int(record.name): {result.epoch: result.best for result in record.epochs}
        for record in study.folder.records(Stage.SEARCH)
        if record.name.isdecimal()
    }
    rows: list[list[Cell]] = [
        [
            each.name,
            each.fingerprint,
            len(each.trials),
            ", ".join(each.first),
            not_taken(each) or "none",
            held(space, each, reached),
        ]
        for each in space.earlier
    ]
    columns = ["study", "fingerprint of its data", "trials taken over", "tried first", "not taken", "held here"]
    return Table(study.file("begun_from"), "Begun from", columns, rows, shown=len(rows))


def _sessions(study: StudyOnPage) -> Table:
    rows = [
        [session["started"], session["ended"] or UNKNOWN, _command(session["command"])]
        for session in study.manifest.content["sessions"]
    ]
    return Table(study.file("sessions"), "Sessions", ["started", "ended", "command"], rows)


def _command(words: Sequence[str]) -> str:
    """As it was typed, but for the folders of a disk that is not the reader's: the page may travel."""
    return shlex.join(["python", *(ABSOLUTE.sub(lambda path: Path(path[0]).name, str(word)) for word in words[1:])])


def _openings(study: StudyOnPage) -> Table | Statement:
    rows = [
        [opening["time"], opening["chosen"], ", ".join(opening["results"]) or "nothing: it was cut short"]
        for opening in study.manifest.content["test_opened"]
    ]
    if not rows:
        return Statement(f"{study.id}.made.closed", "The test split was never opened.", data=MANIFEST)
    columns = ["time", "chosen before", "scored"]
    return Table(study.file("test_opened"), "Openings of the test split", columns, rows)


def _space(study: StudyOnPage) -> Table:
    """What was searched."""
    rows = [
        [parameter.key, _drawn_from(parameter), _when(parameter.when)] for parameter in study.manifest.space.parameters
    ]
    return Table(study.file("space"), "What was searched", ["key", "drawn from", "only where"], rows, shown=len(rows))


def _drawn_from(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(_value(parameter.key, choice) for choice in parameter.choices)
    step = f", in steps of {parameter.step:g}" if parameter.step else ""
    return f"{parameter.low:g} to {parameter.high:g}{step}{', logarithmic' if parameter.log else ''}"


def _when(conditions: Mapping[str, tuple[Any, ...]]) -> str:
    return "; ".join(f"{key}: {', '.join(map(str, values))}" for key, values in conditions.items())


def _settings(study: StudyOnPage) -> Table:
    """What differs from the defaults."""
    space, usual = study.manifest.space, defaults()
    pinned = [[key, _value(key, value)] for key, value in space.fixed.items() if value != usual.get(key)]
    of_sizes = [[f"{key} of {size}", str(value)] for size, row in space.resources.items() for key, value in row.items()]
    search = [
        [f"search.{name}", _value(name, value)]
        for name, value in space.search.model_dump().items()
        if value != SearchConfig.model_fields[name].default
    ]
    rows = [*pinned, *of_sizes, *search]
    return Table(
        study.file("not_defaults"), "Settings that are not the defaults", ["key", "value"], rows, shown=len(rows)
    )


def _value(key: str, value: Any) -> str:
    """Of where data or weights lay, the name alone: the page may travel."""
    if key in (DATA_SOURCE, "backbone.pretrained"):
        return Path(str(value)).name
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
