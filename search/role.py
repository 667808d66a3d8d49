"""What role does each setting of a study play, and what does the texture do on each backbone?

python search/role.py results/<name>
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from search.record.folder import RunFolder

EPILOG = """example:
  python search/role.py results/texture_ablation-faces-male

Of a grid: the share of the variance of the score that each setting makes, with its interval, and whether it matters; a
setting that never changed by itself is called confounded. Of another search: what its best trials have in common, which
is no test. Of both: what the texture does to each backbone and to all together, where the same was trained without it,
from the final stage if there is one. Scores are the best on validation."""


def main() -> int:
    """Print the report; 2 for bad input."""
    parser = command_parser("python search/role.py", str(__doc__), EPILOG)
    parser.add_argument("folder", type=local_path, help="a run folder, finished or not")
    arguments = parser.parse_args()
    return exit_code(lambda: _print(arguments.folder))


def _print(path: Path) -> None:
    from search.findings.roles.page import roles  # SciPy is slow to import; mistakes are told at once

    print(roles(RunFolder(path)))


if __name__ == "__main__":
    sys.exit(main())
