"""`python -m lssat.evaluate`: score a winner on another data set of the same task."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

# What loads torch or scikit-learn is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import command_parser, exit_code, local_path
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import SPLITS, read_info, read_texts, shard_paths
from lssat.data_arguments import add_data_arguments, as_trained, data_of
from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.text.console import Column, SafeConsole, Sheet

if TYPE_CHECKING:
    from lssat.bundle.opening import Bundle
    from lssat.evaluation.classes import Confusion

WIDTH = 140  # columns, where the output is no terminal
OF_CLASS = ("precision", "recall", "f1", "support", "predicted")
OF_LABEL = (*OF_CLASS, "balanced_accuracy", "auc")
UNDEFINED = "-"
ELSEWHERE = "the file of `--out`"


def main() -> int:
    """0: done, 2: bad input."""
    arguments = _parser().parse_args()
    return exit_code(lambda: _run(arguments))


def evaluate_on(bundle: Bundle, prepared: Path, split: str, subgroups: Sequence[str]) -> dict[str, Any]:
    """The scorecard of a bundle on a split of prepared data of the same task. Raises ConfigError."""
    from lssat.bundle.scoring import score_bundle

    info = read_info(prepared)
    bundle.check_same_task(info)
    unknown = [name for name in subgroups if name not in info.columns]
    if unknown:
        raise ConfigError(
            f"the data have no column `{unknown[0]}` to tell subgroups by; they have "
            f"{', '.join(info.columns) or 'none'}"
        )
    rows = read_resident(shard_paths(prepared, split), bundle.config.data.image_size)
    return score_bundle(bundle, rows, read_texts(prepared, split), subgroups).result


def _run(arguments: argparse.Namespace) -> None:
    data = data_of(arguments)
    from lssat.bundle.opening import open_bundle

    bundle = open_bundle(arguments.bundle)  # before the data are prepared, which may take hours
    for note in bundle.notes:
        print(f"note: {note}", file=sys.stderr)
    data = as_trained(data, bundle.faces)
    prepared = prepare(data, arguments.cache, lambda line: print(line, file=sys.stderr))
    subgroups = [name for name in arguments.subgroups.split(",") if name]
    scores = evaluate_on(bundle, prepared, arguments.split, subgroups)
    card = {"data": ", ".join(data.sources), "split": arguments.split, **scores}
    show(SafeConsole(width=None if sys.stdout.isatty() else WIDTH), card)
    if arguments.out:
        write_json(arguments.out, card)


def show(console: Console, card: Mapping[str, Any]) -> None:
    """The scorecard: its numbers, then its tables by class."""
    from lssat.evaluation.classes import Confusion
    from lssat.evaluation.scorecard import shown

    console.print(shown(card), soft_wrap=True)
    counted = f"counted in {card['scored_by']}s"
    rows = card["labels"] if "labels" in card else card["classes"]
    kind, columns = ("attribute", OF_LABEL) if "labels" in card else ("class", OF_CLASS)
    _class_sheet(f"By {kind} ({counted})", kind, columns, rows).show(console)
    if any(row[name] is None for row in rows.values() for name in columns):
        console.print(f"  {UNDEFINED}: undefined, since none or all are of it, or none are taken for it", style="dim")
    if "confusion" in card:
        _confusion_sheet(console, f"Confusion ({counted})", Confusion.from_json(card["confusion"])).show(console)


def _class_sheet(title: str, kind: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> Sheet:
    scores = [
        Column(name, priority, [_score(row[name]) for row in rows.values()])
        for priority, name in enumerate(columns, start=1)
    ]
    return Sheet(title, [Column(kind, 0, list(rows), "left"), *scores], [""] * len(rows), ELSEWHERE)


def _confusion_sheet(console: Console, title: str, confusion: Confusion) -> Sheet:
    """Classes by name or, where the screen has no room for these, by number."""
    rows, styles = confusion.classes, [""] * len(confusion.classes)
    by_name = Sheet(title, _confusion_columns(rows, rows, confusion), styles, ELSEWHERE)
    if by_name.width(console) <= console.width:
        return by_name
    numbers = [str(number) for number, _ in enumerate(rows, start=1)]
    numbered = [f"{number} {name}" for number, name in zip(numbers, rows, strict=True)]
    return Sheet(title, _confusion_columns(numbered, numbers, confusion), styles, ELSEWHERE)


def _confusion_columns(rows: Sequence[str], columns: Sequence[str], confusion: Confusion) -> list[Column]:
    counted = zip(columns, confusion.counts.T, strict=True)
    counts = [Column(name, 1, list(map(str, of_class))) for name, of_class in counted]
    return [Column("truth \\ prediction", 0, rows, "left"), *counts]


def _score(value: float | None) -> str:
    """A count or a score."""
    if value is None:
        return UNDEFINED
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "python -m lssat.evaluate",
        "Score a winner on another data set of the same task.",
        "example:\n  python -m lssat.evaluate results/backbones-faceforensics-deepfake/best --data "
        "celebdf:/data/Celeb-DF-v2 --allow-leaks",
    )
    parser.add_argument("bundle", type=local_path, help="the folder best/ of a run")
    add_data_arguments(parser)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--subgroups", default="", metavar="A,B", help="columns of the data to give the score by")
    parser.add_argument("--out", type=local_path, metavar="FILE", help="write the scorecard as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
