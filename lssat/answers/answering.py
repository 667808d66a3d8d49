"""A winner asked about files, a batch at a time; what it said stays when the process is killed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lssat.answers.output import Journal, Row, disk_may_be_full, key_of, write_csv, write_table
from lssat.bundle.winner import Seen, Winner
from lssat.command import Notify
from lssat.data.images import UnusableImage
from lssat.data.parallel import in_threads
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.asked import Asked
from lssat.data.prepare.progress import Progress
from lssat.evaluation.probability import mean_logits
from lssat.files import make_folder, write_whole
from lssat.text.visible import as_text, on_one_line

STEM = 60  # letters of a file's name that the picture of its answer keeps
NAMED = 10  # files without an answer that the summary names


class Opened(NamedTuple):
    """A file, and its images or why there are none."""

    path: Path
    asked: Asked | None
    reason: str = ""

    @property
    def num_images(self) -> int:
        """Of a video, its frames with a face."""
        return len(self.asked.images) if self.asked else 0


@dataclass(frozen=True)
class Answering:
    """`embed`: features are written too. `explain`: a folder for a picture of each answer, which says why."""

    winner: Winner
    embed: bool
    explain: Path | None = None

    def write(self, files: Sequence[Path], out: Path | None, notify: Notify) -> str:
        """A row for each file, and what a person is told at the end. Files that a killed process answered stay so."""
        if out is None:
            progress = Progress(notify, "answered", len(files))
            rows = [row for some in progress.follow(self._answers(files), len) for row in some]
            write_csv(sys.stdout, rows)
            return _summary(rows)
        question = {"winner": self.winner.bundle.digest, "embed": self.embed}
        if self.explain:
            question["explain"] = str(self.explain)
        journal = Journal(out, question)
        with journal.alone():
            rows = self._journaled(files, journal, notify)
            write_table(out, rows)
            journal.delete()
        return _summary(rows)

    def _journaled(self, files: Sequence[Path], journal: Journal, notify: Notify) -> list[Row]:
        """The row of each file, in order."""
        known, keys = journal.rows(), {path: key_of(path) for path in files}
        left = [path for path in files if keys[path] not in known]
        if len(left) < len(files):
            notify(f"{len(files) - len(left)} files were answered before")
        progress = Progress(notify, "answered", len(files), len(files) - len(left))
        asked = iter(left)
        for some in progress.follow(self._answers(left), len):
            found = {keys[path]: row for row, path in zip(some, asked, strict=False)}
            journal.add(found)
            known |= found
        return [known[keys[path]] | {"source": _source(path)} for path in files]

    def _answers(self, files: Sequence[Path]) -> Iterator[list[Row]]:
        """The rows of as many files as fill a batch with images, and again."""
        size = self.winner.batch_size
        with refuse_bombs():
            for some in _batches(in_threads(self._opened, files, size), size):
                yield self._answered(some)

    def _opened(self, path: Path) -> Opened:
        try:
            return Opened(path, self.winner.open(path))
        except UnusableImage as reason:
            return Opened(path, None, str(reason))

    def _answered(self, some: Sequence[Opened]) -> list[Row]:
        images = [opened.asked.images for opened in some if opened.asked]
        if not images:
            return [self._row(opened, None) for opened in some]
        seen, starts = self._see(np.concatenate(images)), np.cumsum([0, *(opened.num_images for opened in some)])
        own = [Seen(*(part[start:end] for part in seen)) for start, end in pairwise(starts)]
        return [self._row(opened, part if opened.asked else None) for opened, part in zip(some, own, strict=True)]

    def _see(self, images: npt.NDArray[np.uint8]) -> Seen:
        size = self.winner.batch_size
        parts = [self.winner.see(images[start : start + size]) for start in range(0, len(images), size)]
        return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _row(self, opened: Opened, seen: Seen | None) -> Row:
        """`seen`: of a video, each of its frames."""
        task, label, probability = self.winner.task, "", None
        if seen:
            found = self.winner.answer(mean_logits(task.kind, seen.logits))
            (name,), (probability,) = found.labels, found.probability.tolist()
            label = name if isinstance(name, str) else ";".join(name)
        row: Row = {
            "source": _source(opened.path),
            "label": label,
            "probability": max(probability) if probability else None,
            **{f"p_{name}": probability[k] if probability else None for k, name in enumerate(task.classes)},
            "frames": opened.num_images,
            "frames_without_face": opened.asked.without_face if opened.asked else 0,
            "reason": opened.reason,
        }
        if self.embed:
            row["embedding"] = seen.features.mean(0).tolist() if seen else None
        if self.explain:
            row["explained"] = self._explained(self.explain, opened) if opened.asked else None
        return row

    def _explained(self, folder: Path, opened: Opened) -> str:
        """The picture of why it answers so, of a video about its middle frame with a face."""
        from lssat.answers.explaining import explain  # captum comes with an extra

        assert opened.asked
        key = sha256(key_of(opened.path).encode(errors="surrogateescape")).hexdigest()
        stem = re.sub(r"[^\w.-]+", "_", opened.path.stem)[:STEM]
        path = folder / f"{stem}-{key[:8]}.png"
        content = explain(self.winner, opened.asked.images[opened.num_images // 2]).png()
        with disk_may_be_full(path):
            make_folder(folder)
            write_whole(path, lambda to: to.write_bytes(content))
        return str(path)


def _source(path: Path) -> str:
    """The name of a file, as every form of the output can hold it."""
    return as_text(str(path))


def _batches(files: Iterable[Opened], size: int) -> Iterator[list[Opened]]:
    """At least `size` images at a time, or as many files without one; the last ones may be fewer."""
    some: list[Opened] = []
    for opened in files:
        some.append(opened)
        if sum(max(opened.num_images, 1) for opened in some) >= size:
            yield some
            some = []
    if some:
        yield some


def _summary(rows: Sequence[Row]) -> str:
    unanswered = [row for row in rows if row["reason"]]
    named = "".join(f"\n  {on_one_line(row['source'])}: {row['reason']}" for row in unanswered[:NAMED])
    more = f"\n  and {len(unanswered) - NAMED} more, in the column `reason`" if len(unanswered) > NAMED else ""
    return f"{len(rows) - len(unanswered)} files answered, {len(unanswered)} without an answer{named}{more}"
