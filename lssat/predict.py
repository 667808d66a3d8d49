"""`python -m lssat.predict`: what a winner says of photos and videos."""

from __future__ import annotations

import argparse
import io
import sys

# What loads torch is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import check_extra, command_parser, exit_code, local_path
from lssat.errors import UserError

SUFFIXES = (".csv", ".jsonl", ".parquet")
EPILOG = """examples:
  python -m lssat.predict results/backbones-faces-smiling/best photos/ --out smiling.csv
  python -m lssat.predict results/backbones-faces-smiling/best 'photos/*.jpg' clip.mp4 --embed --out faces.parquet
  python -m lssat.predict results/backbones-faces-smiling/best photos/ --explain why/ --out smiling.csv
  find photos -name '*.jpg' | python -m lssat.predict results/backbones-faces-smiling/best -

Files are opened by the rules by which the training images were, and faces found and cut out where they were then. A
file without an answer has its reason in the column `reason`; "no face found" is one. Probabilities are calibrated on
validation. Interrupted, the same command goes on where it was."""


def main() -> int:
    """0: done, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    more = "the same command goes on where it was" if arguments.out else "with `--out` it could be gone on with"
    return exit_code(lambda: _run(arguments), f"interrupted; {more}")


def _run(arguments: argparse.Namespace) -> None:
    from lssat.answers.sources import files_of

    out = arguments.out
    if out and out.suffix not in SUFFIXES:
        raise UserError(f"`--out` must end in {', '.join(SUFFIXES)}, but got `{out.name}`")
    if out and out.exists():
        raise UserError(f"`{out}` exists; delete it, or name another file")
    if arguments.explain:
        check_extra("explain")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # the name of a file need not be text
    files = files_of(arguments.sources, sys.stdin)
    from lssat.answers.answering import Answering
    from lssat.bundle.winner import load

    winner = load(arguments.bundle, arguments.device, arguments.batch_size)
    for note in winner.notes:
        print(f"note: {note}", file=sys.stderr)
    answering = Answering(winner, arguments.embed, arguments.explain)
    print(answering.write(files, out, lambda line: print(line, file=sys.stderr)), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m lssat.predict", "Ask a winner about new photos and videos.", EPILOG)
    parser.add_argument("bundle", type=local_path, help="the folder best/ of a run")
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="files, folders, patterns, or - for a list on standard input"
    )
    parser.add_argument(
        "--out", type=local_path, metavar="FILE", help="*.csv, *.jsonl or *.parquet; default: CSV on standard output"
    )
    parser.add_argument("--embed", action="store_true", help="add the encoder's features; of a video, their mean")
    parser.add_argument(
        "--explain",
        type=local_path,
        metavar="DIR",
        help="a picture of each answer into this folder: where the network looked, and the texture it rebuilt behind a "
        "mask; takes some 30 times as long; needs the extra: pip install '.[explain]'",
    )
    parser.add_argument("--device", help="as torch names it; default: a GPU where there is one")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at a time (default 64)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
