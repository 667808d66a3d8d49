"""The command line: python search/run.py --space spaces/backbones.yaml"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(ROOT)

EPILOG = """examples:
  python search/run.py --space spaces/backbones.yaml
      search on synthetic faces that the project renders itself
  python search/run.py --space spaces/backbones.yaml --data faces.parquet --task male
      search on your own table (columns: image, one or more labels; optional split, identity)
  python search/run.py --space spaces/backbones.yaml --set backbone.family=resnet --set optim.epochs=30 --num-trials 40
      pin settings; a pinned setting leaves the search
  python search/run.py --space spaces/backbones.yaml --resume
      go on with an interrupted study, or with one whose budget was spent
  python search/run.py --space spaces/backbones.yaml --extend 50
      add 50 trials to a study, finished or not
  python search/run.py --space results/backbones-emotion/manifest.json --name again
      run a recorded study again, as it was
  python search/run.py --space spaces/backbones.yaml --set search.sampler=random --set search.max_hours=2
      how the space is searched can be set as well
  python search/run.py --space spaces/backbones.yaml --plan
      what the study will take, in half a minute and without data; beside what it took where it has been run
"""


def main() -> int:
    """Run a study; 0: done, 1: no winner or an unexpected error, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    from lssat.config import ConfigError

    try:
        return _search(arguments)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from lssat.config import describe
    from search.space.settings import SearchConfig

    keys = "\n".join(f"  {line}" for line in [*describe(), *describe(SearchConfig(), "search.")])
    parser = argparse.ArgumentParser(
        prog="python search/run.py",
        description="Search backbones and settings for L-SSAT with Ray Tune and Optuna.",
        epilog=f"{EPILOG}\nsettings for `fixed`, `space` and --set (default in brackets):\n{keys}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--space",
        type=Path,
        required=True,
        metavar="FILE",
        help="the search space, see spaces/; or the manifest.json of a study, to run it again",
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="a published data set (celeba:PATH, ...), a table, or a folder per class; default: synthetic faces",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="synthetic: emotion, attributes, deepfake; own table: label column(s), comma-separated",
    )
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label column")
    parser.add_argument(
        "--profile",
        default="auto",
        metavar="NAME",
        help="profile of the space; auto: gpu where there is one, else laptop",
    )
    parser.add_argument("--num-trials", type=int, metavar="N", help="number of trials of the study")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="pins", help="pin a setting (repeatable)"
    )
    parser.add_argument("--name", metavar="NAME", help="name of the run folder; default: space, data and task")
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "results",
        metavar="DIR",
        help="where run folders are (default: results/ of the project)",
    )
    parser.add_argument(
        "--storage",
        type=Path,
        metavar="DIR",
        help="cluster: folder for checkpoints that all nodes share; default: --results",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="run on a Ray cluster that is up: auto, or its address; default: Ray on this machine",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with an existing run folder")
    existing.add_argument(
        "--extend", type=int, metavar="N", help="go on with an existing run folder, with N more trials"
    )
    existing.add_argument(
        "--plan",
        action="store_true",
        help="only say what the study will take: trials, epochs, memory, time, disk; launches nothing",
    )
    existing.add_argument("--overwrite", action="store_true", help="delete an existing run folder first")
    return parser


def _search(arguments: argparse.Namespace) -> int:
    from lssat.config import ConfigError
    from search.record.folder import claimed, folder_name, has_begun
    from search.record.manifest import HOW_LONG, continued, rebuilt
    from search.space.file import load, with_search

    profile = _profile(arguments)
    pinned = _pinned(arguments)
    search = {key.removeprefix("search."): pinned.pop(key) for key in list(pinned) if key.startswith("search.")}
    if arguments.num_trials is not None:
        search["num_trials"] = arguments.num_trials
    if arguments.space.suffix == ".json":
        if pinned or search.keys() - set(HOW_LONG if arguments.resume else ()):
            raise ConfigError(
                "a manifest is run again as it is; leave out `--set`, `--data`, `--task`, `--classes` and "
                "`--num-trials` (with `--resume`, how long to search may be set), or give a space file"
            )
        recorded, space = rebuilt(arguments.space, print)
        space = with_search(space, search) if search else space
        arguments.name = arguments.name or recorded
    else:
        space = load(arguments.space, profile, pinned, search)
    folder = arguments.results.resolve() / folder_name(arguments.name, arguments.space, space.example().data)
    if arguments.plan:
        from search.plan.command import plan_study

        plan_study(space, folder, (arguments.storage or arguments.results).resolve() / ".data")
        return 0
    with claimed(
        folder, resume=arguments.resume or arguments.extend is not None, overwrite=arguments.overwrite
    ) as begun:
        arguments.resume = begun
        if arguments.resume:
            space = continued(space, folder, arguments.extend, keep="num_trials" not in search)
        from search.report.screen import console_beside

        console = console_beside(folder / "log.txt")
        try:
            from search.study import session

            has_winner = session.run(folder, space, arguments, console, ROOT)
        except ConfigError as error:
            console.print(f"error: {error}", markup=False, style="red")
            return 2
        except KeyboardInterrupt:
            state = (
                f"nothing is lost. Go on with:\n  {_resume_command()}"
                if has_begun(folder)
                else "the study had not begun, so nothing is left behind"
            )
            console.print(f"\ninterrupted; {state}", markup=False)
            return 130
        except Exception as error:
            console.print(f"unexpected {type(error).__name__}: {error}", markup=False, style="red")
            console.print(traceback.format_exc(), markup=False)
            if has_begun(folder):
                console.print(
                    f"Ray's side of it is in {folder / 'log.txt'}; go on with:\n  {_resume_command()}", markup=False
                )
            return 1
    return 0 if has_winner else 1


def _profile(arguments: argparse.Namespace) -> str:
    if arguments.profile != "auto":
        return str(arguments.profile)
    if arguments.address:
        from search.study.cluster import has_gpus

        return "gpu" if has_gpus(arguments.address) else "laptop"
    return "gpu" if Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() else "laptop"


def _pinned(arguments: argparse.Namespace) -> dict[str, Any]:
    from lssat.config import ConfigError
    from lssat.data.sources.source import absolute
    from search.space.yaml_lines import scalar

    pinned: dict[str, Any] = {}
    if arguments.data is not None:
        pinned["data.source"] = arguments.data if arguments.data == "synthetic" else absolute(arguments.data)
    if arguments.task is not None:
        pinned["data.task"] = arguments.task
    if arguments.classes is not None:
        pinned["data.classes"] = arguments.classes.split(",")
    for pin in arguments.pins:
        key, equals, value = pin.partition("=")
        if not equals:
            raise ConfigError(f"`--set` takes KEY=VALUE, but got {pin!r}")
        pinned[key] = scalar(value)
    return pinned


def _resume_command() -> str:
    extended = [
        index for index, word in enumerate(sys.argv) if word == "--extend"
    ]  # its trials are in the manifest by now
    left_out = {*extended, *(index + 1 for index in extended)}
    words = [
        word
        for index, word in enumerate(sys.argv)
        if word not in ("--resume", "--overwrite") and not word.startswith("--extend=") and index not in left_out
    ]
    return shlex.join([os.path.relpath(sys.executable), os.path.relpath(words[0]), *words[1:], "--resume"])


if __name__ == "__main__":
    sys.exit(main())
