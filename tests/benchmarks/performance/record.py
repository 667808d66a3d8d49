"""What was measured, kept beside the page: whole sections by processor and bench, and what each was measured of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.performance import machine
from tests.benchmarks.performance.rows import Aim, Row, Section
from tests.benchmarks.performance.timing import Ratio

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ("lssat", "search")
"""Folders whose last commit says what was measured."""


@dataclass(frozen=True)
class Kept:
    """A section, and `of`: the commit and the versions that it was measured of."""

    section: Section
    of: str


class Record:
    """The file of what was measured. Every change is on disk before the caller goes on."""

    def __init__(self, path: Path) -> None:
        self._path, self._processor = path, machine.processor()

    def sections(self, bench: str) -> list[Kept]:
        """Those of a bench on this processor."""
        return [_kept(each) for each in self._here().get(bench, {}).get("sections", ())]

    def has_whole(self, bench: str, of: str) -> bool:
        """Whether a bench was measured to its end on this processor, all of it of the same."""
        return bool(self._here().get(bench, {}).get("whole")) and all(each.of == of for each in self.sections(bench))

    def add(self, bench: str, measured: Sequence[Section], of: str) -> None:
        """Keep what a bench has measured so far; what it has not come to yet stays as it was."""
        titles = {section.title for section in measured}
        later = [each for each in self.sections(bench) if each.section.title not in titles]
        self._write(bench, [*(Kept(section, of) for section in measured), *later], whole=False)

    def end(self, bench: str, measured: Sequence[Section], of: str) -> None:
        """Keep all that a bench has measured, and nothing else of it."""
        self._write(bench, [Kept(section, of) for section in measured], whole=True)

    def rows(self) -> dict[str, Row]:
        """All rows of this processor, by name."""
        kept = (each for bench in self._here() for each in self.sections(bench))
        return {row.name: row for each in kept for row in each.section.rows}

    def _write(self, bench: str, kept: Sequence[Kept], whole: bool) -> None:
        everything = self._everything()
        of_bench = {"whole": whole, "sections": [asdict(each) for each in kept]}
        everything.setdefault(self._processor, {})[bench] = of_bench
        unfinished = self._path.with_name(f"{self._path.name}.unfinished")
        unfinished.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
        unfinished.replace(self._path)

    def _here(self) -> Mapping[str, Any]:
        return self._everything().get(self._processor, {})

    def _everything(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}


def measured_of() -> str:
    """The last commit that changed the packages, whether they were changed since, and the versions."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words, "--", *MEASURED], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("log", "-1", "--format=%h") or "unknown"
    changed = ", changed since" if git("status", "--porcelain") else ""
    return f"commit {commit}{changed}; {machine.versions()}"


def _kept(written: Mapping[str, Any]) -> Kept:
    section = written["section"]
    rows = [Row(name, Ratio(*ratio), Aim(*aim)) for name, ratio, aim in section["rows"]]
    return Kept(Section(**{**section, "rows": rows}), written["of"])
