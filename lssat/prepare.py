"""`python -m lssat.prepare`: a data set -> a folder of shards, before a search or on a cluster."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from rich.text import Text

from lssat.command import command_parser, exit_code, local_path
from lssat.config import build
from lssat.data.parallel import Spread, in_processes
from lssat.data.prepare.look import FOLDERS, is_class_folder
from lssat.data.prepare.prepare import Preparation, write
from lssat.data.prepared.table import INFO_FILE, LEAKS_FILE, SPLITS, read_info
from lssat.data.prepared.writing import REJECTS_FILE
from lssat.data.sources.source import OPTIONS, OWN, absolute, located
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.console import SafeConsole
from lssat.text.visible import visible

DESCRIPTION = "Prepare a data set: open its files once, cut faces out, audit its splits and write shards."
EPILOG = """examples:
  python -m lssat.prepare celeba /data/CelebA shards/celeba
  python -m lssat.prepare faceforensics '/data/FaceForensics++?compression=c40&frames=16' shards/ff-c40
  python -m lssat.prepare own /data/faces.parquet shards/faces --task male
  python -m lssat.prepare table '/data/faces.csv?image=file&label=race&identity=id' shards/faces
  python -m lssat.prepare files '/data/UTKFace?pattern={age}_{gender}_{race}_*.jpg&label=race' shards/utkface
  python -m lssat.prepare huggingface '/data/hub?label=gender' shards/hub
  python search/run.py --space spaces/backbones.yaml --data shards/celeba

The tree is taken as its owner publishes it. Images and frames become squares of at most 256 pixels; the images of
your own data (own, table, files, huggingface) are kept as they are. What cannot be used is listed in
<shards>/rejects.csv with its reason and never replaced. Interrupted, the same command goes on with the shards that are
missing; a table that holds its images is begun anew. On a cluster (--address) the source and the shards must be in
folders that all nodes see."""


def main() -> int:
    """0: done, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    return exit_code(lambda: _run(arguments), "interrupted; the same command goes on where it can")


def _parser() -> argparse.ArgumentParser:
    kinds = ", ".join(f"{kind} ({', '.join(options)})" if options else kind for kind, options in OPTIONS.items())
    parser = command_parser("python -m lssat.prepare", DESCRIPTION, EPILOG)
    parser.add_argument(
        "kind",
        choices=[OWN, *OPTIONS],
        metavar="KIND",
        help=f"own (a table, or a folder per class), or another layout or published data set with its options: {kinds}",
    )
    parser.add_argument("source", help="the folder or table; options follow as ?name=value&...")
    parser.add_argument("shards", type=local_path, help="the folder to write; it appears when it is whole")
    parser.add_argument(
        "--task", help="what is learnt: label column(s), or attributes of CelebA; default: the natural task of the kind"
    )
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label")
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="what the classes are called, numbers by size and words by letters"
    )
    parser.add_argument("--align", choices=["upright"], help="turn faces that are found until eyes and mouth are level")
    parser.add_argument(
        "--seed", type=int, default=0, help="of splits that the data do not bring, and of the order of rows"
    )
    parser.add_argument(
        "--max-rejects", type=float, metavar="SHARE", help="largest share of images that may be unusable (default 0.01)"
    )
    parser.add_argument(
        "--allow-leaks",
        action="store_true",
        help="record identities, videos and images that are in several splits instead of refusing them",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="spread the work over a Ray cluster that is up; default: the processes of this machine",
    )
    return parser


def _run(arguments: argparse.Namespace) -> None:
    data = _data(arguments)
    folder = arguments.shards.absolute()
    preparation = Preparation.of(located(data.sources[0]), data)
    _refuse_other(folder, preparation)
    spread = _spread(arguments.address)
    console = SafeConsole(stderr=True)
    with console.status("reading names and labels") if console.is_terminal else nullcontext() as status:

        def notify(text: str) -> None:
            if status is not None:
                status.update(Text(visible(text)))
            else:
                console.print(text, soft_wrap=True)

        write(folder, preparation, notify, spread)
    _show(folder)


def _data(arguments: argparse.Namespace) -> DataConfig:
    """Raises ConfigError."""
    kind = "" if arguments.kind == OWN else f"{arguments.kind}:"
    source = absolute(f"{kind}{arguments.source}")
    keys = {
        "data.source": source,
        "data.task": arguments.task or (FOLDERS if is_class_folder(source) else None),
        "data.classes": arguments.classes.split(",") if arguments.classes else None,
        "data.class_names": arguments.class_names.split(",") if arguments.class_names else None,
        "data.align": arguments.align,
        "data.seed": arguments.seed,
        "data.max_rejects": arguments.max_rejects,
        "data.allow_leaks": arguments.allow_leaks or None,
    }
    return build({key: value for key, value in keys.items() if value is not None}).data


def _refuse_other(folder: Path, preparation: Preparation) -> None:
    """Raises ConfigError where the folder is there and holds something else."""
    if not folder.exists():
        return
    if not (folder / INFO_FILE).exists() or not preparation.is_described_by(read_info(folder)):
        raise ConfigError(
            f"`{folder}` exists and holds something else, or was prepared by an older version; delete it, or name "
            "another folder"
        )


def _spread(address: str | None) -> Spread:
    if address is None:
        return in_processes
    from lssat.on_ray.parallel import on_cluster  # Ray takes seconds to import, and only a cluster needs it

    return on_cluster(address)


def _show(folder: Path) -> None:
    """Print what is in the shards, on standard output."""
    info = read_info(folder)
    for split in SPLITS:
        counts = ", ".join(f"{name} {count}" for name, count in info.counts[split].items())
        print(f"{split:<6}{info.rows[split]:>9}  {counts}")
    rejects, leaks = len(info.rejects), info.options["leaks"]
    print(f"{rejects} rejects, {leaks} leaks across splits; described in {folder / INFO_FILE}")
    for count, name in ((rejects, REJECTS_FILE), (leaks, LEAKS_FILE)):
        if count:
            print(f"  {folder / name}")


if __name__ == "__main__":
    sys.exit(main())
