"""`python -m lssat.evaluate`: score a winner on another data set of the same task."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What loads torch or scikit-learn is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import command_parser, exit_code, local_path
from lssat.config import ConfigError
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import SPLITS, read_info, read_texts, shard_paths
from lssat.data_arguments import add_data_arguments, data_of
from lssat.files import write_json

if TYPE_CHECKING:
    from lssat.bundle.opening import Bundle


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
    from lssat.evaluation.scorecard import shown

    bundle = open_bundle(arguments.bundle)  # before the data are prepared, which may take hours
    for note in bundle.notes:
        print(f"note: {note}", file=sys.stderr)
    prepared = prepare(data, arguments.cache, lambda line: print(line, file=sys.stderr))
    subgroups = [name for name in arguments.subgroups.split(",") if name]
    scores = evaluate_on(bundle, prepared, arguments.split, subgroups)
    card = {"data": data.source, "split": arguments.split, **scores}
    print(shown(card))
    if arguments.out:
        write_json(arguments.out, card)


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
