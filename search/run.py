"""The command line: python search/run.py"""

from __future__ import annotations

import argparse
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What loads torch, Ray or Optuna is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import INTERRUPTED, exit_code, words_that_started
from lssat.errors import ConfigError, UserError
from lssat.files import make_folder
from lssat.storage.place import Place
from search.command_line.arguments import ROOT, parser
from search.command_line.asked import asked, pinned_source, profile_found, refuse_beside_again
from search.command_line.backbones import backbone_table
from search.command_line.last_report import leave_report
from search.record import going_on
from search.record.folder import RunFolder, Storage
from search.record.locking import claimed, folder_name, locked
from search.record.manifest import read_manifest
from search.record.mirror import NO_MIRROR, Mirror
from search.record.names import DATA
from search.record.rebuilding import rebuilt_where_lost
from search.record.resuming import resume_line
from search.space.quick import WARNING

if TYPE_CHECKING:
    from rich.console import Console

MACHINE_FAILED = 3


def main() -> int:
    """Run a study; 0: done, 1: no winner, a row that came out otherwise (`--again`) or an unexpected error, 2: bad
    input, 3: the machine failed (`--resume` goes on), 130: Ctrl-C, 143: SIGTERM, 129: SIGHUP.
    """
    arguments = parser().parse_args()
    if arguments.backbones:
        print(backbone_table())
        return 0
    return exit_code(lambda: _train_again(arguments) if arguments.again else _search(arguments))


def _search(arguments: argparse.Namespace) -> int:
    wanted = asked(arguments)
    space = wanted.space
    name = folder_name(arguments.name, arguments.space, space.example().data)
    if arguments.quick and arguments.name is None:
        name += "-quick"
    folder = RunFolder(arguments.results.resolve() / name)
    cache = _cache(arguments, arguments.results)
    goes_on = arguments.resume or arguments.extend is not None
    if arguments.earlier and not (goes_on and folder.has_begun):  # a study that goes on has them on record
        from search.earlier.reading import Wanted, begun_from

        space = begun_from(space, arguments.earlier, Wanted(folder, wanted.data.info.task, wanted.data.info.kind))
    if arguments.plan:
        from lssat.data.prepare.sample import training_images
        from search.plan.command import plan_study
        from search.plan.data import Listed

        found = wanted.data
        plan_study(space, folder, cache, Listed(found.info, found.cells, found.folds), training_images)
        return 0
    base: Place | None = arguments.storage
    found_again = [] if base is None or arguments.overwrite else rebuilt_where_lost(folder, base / name, goes_on)
    if arguments.extend is not None and not folder.has_begun:
        raise ConfigError(f"there is no study to extend in {folder.path}; leave `--extend` out")
    with claimed(folder, resume=goes_on, overwrite=arguments.overwrite) as resumes:
        from search.findings.screen import console_beside

        begun = read_manifest(folder.manifest) if resumes else None
        if begun:
            space = going_on.continued(
                begun, space, arguments.extend, keeps_num_trials="num_trials" not in wanted.overrides
            )
            going_on.check_began_from(begun, arguments.earlier)
        with console_beside(folder.log) as console:
            console.print(f"L-SSAT Search  {arguments.space}, profile {profile_found(arguments, space)}", style="bold")
            if wanted.data.samples:
                samples = ", ".join(f"{split}: {name}" for split, name in wanted.data.samples.items())
                console.print(f"  first     {samples}")
            if arguments.quick:
                console.print(f"quick: {WARNING}", style="yellow")
                console.print(f"  instead of what the space says: {wanted.changed}")
            for line in found_again:
                console.print(f"  {line}", soft_wrap=True)
            mirror = NO_MIRROR
            try:
                from search.study import cluster

                with cluster.begun(arguments.address, ROOT):
                    from search.study.session import Session, run

                    own = Storage(base / name if base else Place.of(folder.path))
                    storage = going_on.storage_now(begun, base, folder) if begun else own
                    mirror = Mirror(folder, storage.place, partial(console.print, style="yellow", soft_wrap=True))
                    session = Session(folder, storage, space, cache, ROOT, arguments.address, begun, mirror)
                    has_winner = run(session, console)
                if arguments.quick:
                    console.print(f"remember `--quick`: {WARNING}", style="yellow")
                return 0 if has_winner else 1
            except UserError:
                raise
            except KeyboardInterrupt:
                console.print(f"\ninterrupted; {_how_to_go_on(folder)}", soft_wrap=True)
                return INTERRUPTED
            except Exception as error:
                return _say_what_failed(error, folder, console)
            finally:
                leave_report(folder, begun, console)
                mirror.close()


def _train_again(arguments: argparse.Namespace) -> int:
    """Train one recorded run anew and compare; 0: equal to the bit, 1: not."""
    from search.again.row import find
    from search.findings.screen import console_beside

    refuse_beside_again(arguments)
    found = find(arguments.again)
    with locked(found.place):
        make_folder(found.place.path)
        with console_beside(found.place.log) as console:
            console.print(f"L-SSAT Search  {found.name} again", style="bold")
            from search.again.session import Places, run_again

            cache = _cache(arguments, found.folder.path.parent)
            places = Places(cache, pinned_source(arguments), arguments.storage, arguments.address, ROOT)
            try:
                return 0 if run_again(found, places, console) else 1
            except (UserError, KeyboardInterrupt):
                raise
            except Exception as error:
                return _say_what_failed(error, found.place, console)


def _cache(arguments: argparse.Namespace, results: Path) -> Path:
    """Of prepared data: in the folder that all nodes see, since streamed data are read on every node, or beside the
    results.
    """
    shared: Path | None = arguments.storage.local if arguments.storage else None
    return (shared or results.resolve()) / DATA


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


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.has_begun:
        return f"the study had not begun; the same command begins it. What libraries said is in {folder.log}"
    return f"nothing is lost. Go on with:\n  {resume_line(words_that_started(), sys.argv[1:], folder)}"


if __name__ == "__main__":
    sys.exit(main())
