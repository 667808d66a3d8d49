"""The command line: python search/run.py"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

# What loads torch, Ray or Optuna is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import exit_code
from lssat.errors import ConfigError, UserError
from lssat.files import make_folder
from lssat.storage.place import Place
from search.command_line.arguments import ROOT, parser
from search.command_line.asked import Asked, asked, pinned_source, profile_found, refuse_beside_again
from search.command_line.backbones import backbone_table
from search.command_line.ending import Ending, ended_without_a_word, say_what_failed
from search.command_line.last_words import last_words
from search.record import going_on
from search.record.folder import RunFolder, Storage
from search.record.locking import claimed, folder_name, locked
from search.record.manifest import read_manifest
from search.record.mirror import Mirror
from search.record.names import DATA
from search.record.rebuilding import rebuilt_where_lost
from search.space.quick import WARNING

if TYPE_CHECKING:
    from rich.console import Console

    from search.space.definition import Space


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
    cache = _cache(arguments, arguments.results)
    goes_on = arguments.resume or arguments.extend is not None
    if arguments.earlier and not (goes_on and folder.has_begun):  # a study that goes on has them on record
        from search.earlier.reading import Wanted, begun_from

        space = begun_from(space, arguments.earlier, Wanted(folder, wanted.data.info.task, wanted.data.info.kind))
    if arguments.plan:
        return _plan(space, folder, cache, wanted)
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
        own = Storage(base / name if base else Place.of(folder.path))
        storage = going_on.storage_now(begun, base, folder) if begun else own
        with (
            console_beside(folder.log) as console,
            last_words(lambda: ended_without_a_word(folder), console.file.fileno()) as leave,
        ):
            console.print(f"L-SSAT Search  {arguments.space}, profile {profile_found(arguments, space)}", style="bold")
            _say_what_comes(arguments, wanted, found_again, console)
            mirror = Mirror(folder, storage, partial(console.print, style="yellow", soft_wrap=True))
            ending = Ending(folder, begun, mirror, console, leave)

            def study() -> bool:
                from search.study import cluster

                with storage.scratch(), cluster.begun(arguments.address, ROOT):
                    from search.study.session import Session, run

                    given = (folder, storage, space, cache, ROOT, arguments.address, begun, mirror, ending.lost)
                    return run(Session(*given), console)

            code = ending.of(study)
            if arguments.quick and code in (0, 1):
                console.print(f"remember `--quick`: {WARNING}", style="yellow")
            return code


def _plan(space: Space, folder: RunFolder, cache: Path, wanted: Asked) -> int:
    from lssat.data.prepare.sample import training_images
    from search.plan.command import plan_study
    from search.plan.data import Listed

    found = wanted.data
    plan_study(space, folder, cache, Listed(found.info, found.cells, found.folds), training_images)
    return 0


def _say_what_comes(arguments: argparse.Namespace, wanted: Asked, found_again: list[str], console: Console) -> None:
    if wanted.data.samples:
        samples = ", ".join(f"{split}: {name}" for split, name in wanted.data.samples.items())
        console.print(f"  first     {samples}")
    if arguments.quick:
        console.print(f"quick: {WARNING}", style="yellow")
        console.print(f"  instead of what the space says: {wanted.changed}")
    for line in found_again:
        console.print(f"  {line}", soft_wrap=True)


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
                return say_what_failed(error, found.place, console)


def _cache(arguments: argparse.Namespace, results: Path) -> Path:
    """Of prepared data: in the folder that all nodes see, since streamed data are read on every node, or beside the
    results.
    """
    shared: Path | None = arguments.storage.local if arguments.storage else None
    return (shared or results.resolve()) / DATA


if __name__ == "__main__":
    sys.exit(main())
