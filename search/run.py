"""The command line: python search/run.py"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What loads torch, Ray or Optuna is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import INTERRUPTED, exit_code, words_that_started
from lssat.errors import ConfigError, UserError
from lssat.files import make_folder
from search.command_line.arguments import ROOT, parser
from search.command_line.asked import asked, pinned_source, profile_found, refuse_beside_again
from search.command_line.backbones import backbone_table
from search.command_line.last_report import leave_report
from search.command_line.last_words import last_words
from search.record import going_on
from search.record.folder import RunFolder, Storage
from search.record.locking import claimed, folder_name, locked
from search.record.manifest import read_manifest
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
    from lssat.on_ray import job

    job.check_outlives(arguments.results, ROOT)
    wanted = asked(arguments)
    space = wanted.space
    name = folder_name(arguments.name, arguments.space, space.example().data)
    if arguments.quick and arguments.name is None:
        name += "-quick"
    folder = RunFolder(arguments.results.resolve() / name)
    cache = (arguments.storage or arguments.results).resolve() / ".data"  # streamed data are read on every node
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
        base = arguments.storage.resolve() if arguments.storage else None
        with (
            console_beside(folder.log) as console,
            last_words(lambda: _ended_without_a_word(folder), console.file.fileno()) as leave,
        ):
            console.print(f"L-SSAT Search  {arguments.space}, profile {profile_found(arguments, space)}", style="bold")
            if wanted.data.samples:
                samples = ", ".join(f"{split}: {name}" for split, name in wanted.data.samples.items())
                console.print(f"  first     {samples}")
            if arguments.quick:
                console.print(f"quick: {WARNING}", style="yellow")
                console.print(f"  instead of what the space says: {wanted.changed}")
            try:
                from search.study import cluster

                with cluster.begun(arguments.address, ROOT):
                    from search.study.session import Session, run

                    own = Storage(base / name if base else folder.path)
                    storage = going_on.storage_now(begun, base, folder) if begun else own

                    def lost(error: Exception) -> None:
                        code = _say_what_failed(error, folder, console)
                        leave_report(folder, begun, console)
                        leave()
                        os._exit(code)  # whoever waits for the head would wait for ever

                    session = Session(folder, storage, space, cache, ROOT, arguments.address, begun, lost)
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

            storage = arguments.storage.resolve() if arguments.storage else None
            cache = (storage or found.folder.path.parent) / ".data"
            data = pinned_source(arguments)
            try:
                return 0 if run_again(found, Places(cache, data, storage, arguments.address, ROOT), console) else 1
            except (UserError, KeyboardInterrupt):
                raise
            except Exception as error:
                return _say_what_failed(error, found.place, console)


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


def _ended_without_a_word(folder: RunFolder) -> str:
    return (
        "the search was killed, or ended by Ray, which does so where its raylet on this machine has died (what it said "
        f"is in {folder.log}); {_how_to_go_on(folder)}\n"
    )


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.has_begun:
        return f"the study had not begun; the same command begins it. What libraries said is in {folder.log}"
    return f"nothing is lost. Go on with:\n  {resume_line(words_that_started(), sys.argv[1:], folder)}"


if __name__ == "__main__":
    sys.exit(main())
