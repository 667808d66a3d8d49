"""A winner asked about files, a batch at a time; what it said stays when the process is killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lssat.answers.output import Journal, write_csv, write_table
from lssat.bundle.winner import Seen, Winner, ahead, labels_of
from lssat.command import Notify
from lssat.data.images import UnusableImage
from lssat.data.parallel import chunks
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.asked import Asked, open_asked
from lssat.data.prepare.progress import Progress

CHUNK = 16  # files that are opened in one go, a video being one


class Opened(NamedTuple):
    """A file, and its images or why there are none."""

    path: Path
    asked: Asked | None
    reason: str = ""


@dataclass(frozen=True)
class Answering:
    """`embed`: features are written too."""

    winner: Winner
    batch_size: int
    embed: bool

    def write(self, files: Sequence[Path], out: Path | None, notify: Notify) -> str:
        """A row for each file, and what a person is told at the end. Files that a killed process answered stay so."""
        journal = Journal(out, self._question()) if out else None
        known = journal.rows() if journal else []
        done = {row["source"] for row in known}
        left = [path for path in files if str(path) not in done]
        if done:
            notify(f"{len(done)} files were answered before")
        rows = known
        for row in Progress(notify, "answered", len(files), len(files) - len(left)).follow(self._rows(left)):
            if journal:
                journal.add(row)
            rows.append(row)
        if journal and out:
            write_table(out, rows)
            journal.delete()
        else:
            write_csv(sys.stdout, rows)
        return _summary(rows)

    def _question(self) -> dict[str, Any]:
        bundle = self.winner.bundle
        return {"config": bundle.config.model_dump(), "temperature": bundle.temperature, "embed": self.embed}

    def _rows(self, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        with refuse_bombs():
            for some in ahead(self._open, chunks(files, min(CHUNK, self.batch_size))):
                yield from self._answered(some)

    def _open(self, files: Sequence[Any]) -> list[Opened]:
        return [self._opened(path) for path in files]

    def _opened(self, path: Path) -> Opened:
        try:
            return Opened(path, open_asked(path, self.winner.faces, self.winner.bundle.config.data.image_size))
        except UnusableImage as reason:
            return Opened(path, None, str(reason))

    def _answered(self, some: Sequence[Opened]) -> Iterator[dict[str, Any]]:
        images = [opened.asked.images for opened in some if opened.asked]
        seen = self._see(np.concatenate(images)) if images else None
        start = 0
        for opened in some:
            number = len(opened.asked.images) if opened.asked else 0
            own = Seen(*(part[start : start + number] for part in seen)) if seen and number else None
            start += number
            yield self._row(opened, own)

    def _see(self, images: Any) -> Seen:
        parts = [
            self.winner.see(images[start : start + self.batch_size]) for start in range(0, len(images), self.batch_size)
        ]
        return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _row(self, opened: Opened, seen: Seen | None) -> dict[str, Any]:
        """Of a video, the mean of its frames' probabilities, as it is scored in training."""
        classes = self.winner.task.classes
        probability = self.winner.answer(seen.logits).probability.mean(0) if seen else None
        label = labels_of(self.winner.task, probability[None])[0] if probability is not None else ""
        row: dict[str, Any] = {
            "source": str(opened.path),
            "label": label if isinstance(label, str) else ";".join(label),
            "probability": float(probability.max()) if probability is not None else None,
            **{
                f"p_{name}": float(probability[k]) if probability is not None else None
                for k, name in enumerate(classes)
            },
            "frames": len(seen.logits) if seen else 0,
            "frames_without_face": opened.asked.without_face if opened.asked else 0,
            "reason": opened.reason,
        }
        if self.embed:
            row["embedding"] = seen.features.mean(0).tolist() if seen else None
        return row


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    unanswered = [row for row in rows if row["reason"]]
    named = "".join(f"\n  {row['source']}: {row['reason']}" for row in unanswered[:10])
    more = f"\n  and {len(unanswered) - 10} more, in the column `reason`" if len(unanswered) > 10 else ""
    return f"{len(rows) - len(unanswered)} files answered, {len(unanswered)} without an answer{named}{more}"
