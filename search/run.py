"""The command line: python search/run.py --space spaces/backbones.yaml"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What loads torch, Ray or Optuna is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import INTERRUPTED, exit_code, local_path
from lssat.config import ConfigError, describe
from lssat.errors import UserError
from search.record.folder import RunFolder, Storage
from search.record.locking import claimed, folder_name
from search.record.manifest import DATA_SOURCE, MAY_CHANGE, Manifest, notify_of_other_versions, read_manifest
from search.space.definition import Space
from search.space.file import load, with_search
from search.space.settings import SearchConfig
from search.space.yaml_lines import scalar

if TYPE_CHECKING:
    from rich.console import Console

MACHINE_FAILED = 3
ROOT = Path(__file__).resolve().parent.parent
EPILOG = """examples:
  python search/run.py --space spaces/backbones.yaml
      search on synthetic faces that the project renders itself
  python search/run.py --space spaces/backbones.yaml --data faces.parquet --task male
      search on your own table (columns: image, one or more labels; optional split, identity)
  python search/run.py --space spaces/backbones.yaml --set backbone.family=resnet --set optim.epochs=30 --num-trials 40
      pin settings; a pinned setting leaves the search
  python search/run.py --space spaces/backbones.yaml --resume
      go on with an interrupted study, or with one whose budget was spent; begin it where it has not begun
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
    """Run a study; 0: done, 1: no winner or an unexpected error, 2: bad input, 3: the machine failed (`--resume`
    goes on), 130: Ctrl-C, 143: SIGTERM, 129: SIGHUP.
    """
    arguments = _parser().parse_args()
    return exit_code(lambda: _search(arguments))


def _parser() -> argparse.ArgumentParser:
    keys = "\n".join(f"  {line}" for line in [*describe(), *describe(SearchConfig(), "search.")])
    parser = argparse.ArgumentParser(
        prog="python search/run.py",
        description="Search backbones and settings for L-SSAT with Ray Tune and Optuna.",
        epilog=f"{EPILOG}\nsettings for `fixed`, `space` and --set (default in brackets):\n{keys}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what_is_searched(parser)
    _add_places(parser)
    _add_ways_to_begin(parser)
    return parser


def _add_what_is_searched(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--space",
        type=local_path,
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


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="name of the run folder; default: space, data and task")
    parser.add_argument(
        "--results",
        type=local_path,
        default=ROOT / "results",
        metavar="DIR",
        help="where run folders are (default: results/ of the project)",
    )
    parser.add_argument(
        "--storage",
        type=local_path,
        metavar="DIR",
        help="cluster: folder for checkpoints that all nodes share; default: --results",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="run on a Ray cluster that is up: auto, or its address; default: Ray on this machine",
    )


def _add_ways_to_begin(parser: argparse.ArgumentParser) -> None:
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run folder where its study has begun, else begin it: one line for every start",
    )
    existing.add_argument(
        "--extend", type=int, metavar="N", help="go on with an existing run folder, with N more trials"
    )
    existing.add_argument(
        "--plan",
        action="store_true",
        help="only say what the study will take: trials, epochs, memory, time, disk; launches nothing",
    )
    existing.add_argument("--overwrite", action="store_true", help="delete an existing run folder first")


def _search(arguments: argparse.Namespace) -> int:
    space, overrides = _space(arguments)
    name = folder_name(arguments.name, arguments.space, space.example().data)
    folder = RunFolder(arguments.results.resolve() / name)
    cache = (arguments.storage or arguments.results).resolve() / ".data"  # streamed data are read on every node
    if arguments.plan:
        from search.plan.command import plan_study

        plan_study(space, folder, cache)
        return 0
    goes_on = arguments.resume or arguments.extend is not None
    if arguments.extend is not None and not folder.has_begun:
        raise ConfigError(f"there is no study to extend in {folder.path}; leave `--extend` out")
    with claimed(folder, resume=goes_on, overwrite=arguments.overwrite) as resumes:
        from search.report.screen import console_beside

        begun = read_manifest(folder.manifest) if resumes else None
        if begun:
            space = begun.continued(space, arguments.extend, keeps_num_trials="num_trials" not in overrides)
        base = arguments.storage.resolve() if arguments.storage else None
        with console_beside(folder.log) as console:
            console.print(f"L-SSAT Search  {arguments.space}, profile {_profile_found(arguments, space)}", style="bold")
            try:
                from search.study.session import Session, run

                own = Storage(base / name if base else folder.path)
                storage = begun.storage_now(base, folder) if begun else own
                session = Session(folder, storage, space, cache, ROOT, arguments.address, begun)
                return 0 if run(session, console) else 1
            except UserError:
                raise
            except KeyboardInterrupt:
                console.print(f"\ninterrupted; {_how_to_go_on(folder)}", soft_wrap=True)
                return INTERRUPTED
            except Exception as error:
                return _say_what_failed(error, folder, console)


def _say_what_failed(error: Exception, folder: RunFolder, console: Console) -> int:
    """What to do after an error that is not the user's; the exit code."""
    from lssat.on_ray.machine_fault import machine_failed

    if failed := machine_failed(error):
        console.print(f"the machine failed, not a configuration: {failed}", style="red", soft_wrap=True)
        console.print(_how_to_go_on(folder), soft_wrap=True)
        return MACHINE_FAILED
    console.print(f"unexpected {type(error).__name__}: {error}", style="red", soft_wrap=True)
    console.print("".join(traceback.format_exception(error)), soft_wrap=True)
    if folder.has_begun:
        console.print(f"Ray's side of it is in {folder.log}; {_how_to_go_on(folder)}", soft_wrap=True)
    return 1


def _space(arguments: argparse.Namespace) -> tuple[Space, dict[str, Any]]:
    """The space of a file or of a manifest, and the settings of the search that the command line overrides."""
    pinned = _pinned(arguments)
    overrides = {key.removeprefix("search."): pinned.pop(key) for key in list(pinned) if key.startswith("search.")}
    if arguments.num_trials is not None:
        overrides["num_trials"] = arguments.num_trials
    if arguments.space.suffix != ".json":
        return load(arguments.space, _profile(arguments), pinned, overrides), overrides
    moved = {DATA_SOURCE: pinned.pop(DATA_SOURCE)} if arguments.resume and DATA_SOURCE in pinned else {}
    if pinned or overrides.keys() - set(MAY_CHANGE if arguments.resume else ()):
        raise ConfigError(
            "a manifest is run again as it is; leave out `--set`, `--data`, `--task`, `--classes` and "
            "`--num-trials` (with `--resume`, how long to search and where the data are may be set), or give a space "
            "file"
        )
    recorded = read_manifest(arguments.space, repair="give a space file")
    notify_of_other_versions(recorded, print)
    arguments.name = arguments.name or _name_now(recorded, arguments)
    space = replace(recorded.space, fixed={**recorded.space.fixed, **moved})
    return with_search(space, overrides) if overrides else space, overrides


def _name_now(recorded: Manifest, arguments: argparse.Namespace) -> str:
    """The study's name; of a study that goes on that of its folder, which may have been renamed."""
    folder = recorded.path.resolve().parent
    goes_on = arguments.resume or arguments.extend is not None
    return folder.name if goes_on and folder.parent == arguments.results.resolve() else recorded.name


def _profile_found(arguments: argparse.Namespace, space: Space) -> str:
    """The profile, and why it was taken where nobody asked for it."""
    if arguments.profile != "auto" or arguments.space.suffix == ".json":
        return space.profile
    return f"{space.profile} (taken because {'a GPU was' if space.profile == 'gpu' else 'no GPU was'} found)"


def _profile(arguments: argparse.Namespace) -> str:
    if arguments.profile != "auto":
        return str(arguments.profile)
    if arguments.address:
        from search.study.cluster import has_gpus

        return "gpu" if has_gpus(arguments.address) else "laptop"
    return "gpu" if Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists() else "laptop"


def _pinned(arguments: argparse.Namespace) -> dict[str, Any]:
    from lssat.data.sources.source import absolute

    pinned: dict[str, Any] = {}
    if arguments.data is not None:
        pinned[DATA_SOURCE] = arguments.data if arguments.data == "synthetic" else absolute(arguments.data)
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


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.has_begun:
        return f"the study had not begun; the same command begins it. What libraries said is in {folder.log}"
    return f"nothing is lost. Go on with:\n  {_resume_command()}"


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
