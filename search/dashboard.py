"""Look at a study in optuna-dashboard, while it runs or later: parallel coordinates, importance, contours, slices.

python search/dashboard.py results/<name>
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.local_server import port
from search.record.folder import RunFolder

PORT = 8080
EPILOG = """example:
  python search/dashboard.py results/backbones-faces-male

It shows the record: each setting is one parameter, whatever it depends on; a trial that has paused waits, and only one
that trains now is running; notes say why a trial ended and what it would take. Served on 127.0.0.1 alone; Ctrl-C ends
it. Nothing can be written, and the study itself is left as it is."""


def main() -> int:
    """Serve the dashboard until Ctrl-C; 2 for bad input."""
    parser = command_parser("python search/dashboard.py", str(__doc__), EPILOG)
    parser.add_argument("folder", type=local_path, help="a run folder, finished or not")
    parser.add_argument(
        "--port", type=port, default=PORT, metavar="N", help=f"of 127.0.0.1; 0: any that is free (default {PORT})"
    )
    arguments = parser.parse_args()
    return exit_code(lambda: _serve(arguments.folder, arguments.port), interrupted="the dashboard has ended")


def _serve(path: Path, at: int) -> None:
    from search.dashboard_view.server import serve  # the dashboard is slow to import; mistakes are told at once

    serve(RunFolder(Path(os.path.abspath(path))), at, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
