"""`python -m lssat.demo`: a page to drop photos on, for a winner."""

from __future__ import annotations

import argparse
import socket
import sys

# What loads torch is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import command_parser, exit_code, local_path
from lssat.errors import UserError

EPILOG = """example:
  python -m lssat.demo results/backbones-faces-smiling/best

Opens on this machine alone; photos are answered in memory and forgotten. Needs the extra: pip install '.[demo]'."""


def main() -> int:
    """0: ended, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    return exit_code(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    _check_free(arguments.port)
    from lssat.bundle.winner import load

    winner = load(arguments.bundle, arguments.device)
    for note in winner.notes:
        print(f"note: {note}", file=sys.stderr)
    try:
        from lssat.answers.demo_page import serve
    except ImportError as error:
        raise UserError(f"{error}; the demo comes with the extra: pip install '.[demo]'") from None
    print(f"http://127.0.0.1:{arguments.port} (Ctrl-C ends it)", flush=True)
    serve(winner, arguments.port)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}); choose another with `--port`") from None


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m lssat.demo", "Show a winner: a page to drop photos on.", EPILOG)
    parser.add_argument("bundle", type=local_path, help="the folder best/ of a run")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="of this machine (default 8080)")
    parser.add_argument("--device", help="as torch names it; default: a GPU where there is one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
