"""`python -m lssat.demo`: a page to drop photos on, for a winner."""

from __future__ import annotations

import argparse
import socket
import sys

# What loads torch is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import check_extra, command_parser, exit_code, local_path
from lssat.errors import UserError

HOST = "127.0.0.1"
PORT = 8090  # the dashboard's is another
EPILOG = """example:
  python -m lssat.demo results/backbones-faces-smiling/best

Opens on this machine alone; photos are answered and not kept. Needs the extra: pip install '.[demo]'."""


def main() -> int:
    """0: ended, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    return exit_code(lambda: _run(arguments), interrupted="the demo has ended")


def _run(arguments: argparse.Namespace) -> None:
    check_extra("demo")
    with _bound(arguments.port) as listening:
        from lssat.answers.demo_page import serve
        from lssat.bundle.winner import load

        winner = load(arguments.bundle, arguments.device)
        for note in winner.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"http://{HOST}:{listening.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        serve(winner, listening)


def _bound(port: int) -> socket.socket:
    """A port of this machine alone, from now on this program's. Raises UserError where it cannot be had."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "a port is a number from 0 to 65535"
        raise UserError(
            f"port {port} of {HOST} cannot be had ({reason}); name another with `--port`, or `--port 0` for any that "
            "is free"
        ) from None
    return listening


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m lssat.demo", "Show a winner: a page to drop photos on.", EPILOG)
    parser.add_argument("bundle", type=local_path, help="the folder best/ of a run")
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"of {HOST}; 0: any that is free (default {PORT})"
    )
    parser.add_argument("--device", help="as torch names it; default: a GPU where there is one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
