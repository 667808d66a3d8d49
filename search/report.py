"""Make the page of a study, or of several: the answer, what stands behind each sentence of it, and what to do next.

python search/report.py results/<name>
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, from_here, local_path
from lssat.errors import ConfigError
from lssat.local_server import port
from search.record.folder import RunFolder
from search.record.names import REPORT, REPORT_CLAIMS, REPORT_PARTS

PORT = 8765
EPILOG = f"""examples:
  python search/report.py results/backbones-emotion
  python search/report.py results/backbones-emotion --watch
  python search/report.py results/per_task-emotion results/per_task-attributes --out tasks

{REPORT} is one file that any browser opens from disk; it holds all that it shows and asks for nothing, so that it
can be sent and kept. {REPORT_CLAIMS} has its sentences for programs, {REPORT_PARTS}/ its tables (CSV, Markdown)
and charts (SVG, PNG). A search writes all of it into its run folder when it ends or is interrupted; here it is made
anew, of an unfinished study too. It shows faces of the data: leave them out with `--no-faces` where a reader must not
see them."""


def main() -> int:
    """Write the report, or serve it; 2 for bad input."""
    parser = command_parser("python search/report.py", str(__doc__), EPILOG)
    parser.add_argument("folders", type=local_path, nargs="+", metavar="FOLDER", help="run folders, finished or not")
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FOLDER",
        help="where to write it (default: the run folder; of several studies, a folder `report` beside the first)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="write nothing, but show the page on this machine alone, anew whenever the study has come further, "
        "until Ctrl-C",
    )
    parser.add_argument(
        "--port", type=port, metavar="N", help=f"of 127.0.0.1, for `--watch` (default {PORT}; 0: any that is free)"
    )
    parser.add_argument("--no-faces", action="store_true", help="leave out pictures of the data")
    arguments = parser.parse_args()
    return exit_code(lambda: _report(arguments), interrupted="no longer watched" if arguments.watch else "interrupted")


def _report(arguments: argparse.Namespace) -> None:
    folders, with_faces = arguments.folders, not arguments.no_faces
    if arguments.watch and arguments.out:
        raise ConfigError("`--watch` writes nothing, so `--out` has no meaning beside it; leave one of the two out")
    if arguments.port is not None and not arguments.watch:
        raise ConfigError("`--port` has no meaning without `--watch`; add that, or leave `--port` out")
    out = None if arguments.watch else _place(folders, arguments.out)
    for folder in folders:
        RunFolder(folder).check_study()
    if out is None:
        from search.page.watch import watch

        watch(folders, PORT if arguments.port is None else arguments.port, with_faces)
        return
    from search.page.files import write  # what draws is slow to import; mistakes are told at once
    from search.page.report import report_of

    page = shlex.quote(from_here(write(report_of(folders, with_faces), out)))
    print(page)
    print(f"  open it in any browser, here by `xdg-open {page}`; it needs no other file, so it can be sent as it is")


def _place(folders: Sequence[Path], asked: Path | None) -> Path:
    """The folder of the report. Raises ConfigError where that is another study's."""
    found = asked or (folders[0] if len(folders) == 1 else folders[0].resolve().parent / REPORT_PARTS)
    is_own = len(folders) == 1 and found.resolve() == folders[0].resolve()
    if RunFolder(found).manifest.exists() and not is_own:
        raise ConfigError(f"{found} is a run folder, whose own report would be lost; choose another folder by `--out`")
    return found


if __name__ == "__main__":
    sys.exit(main())
