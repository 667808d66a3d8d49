"""The command line of `python -m lssat.data.prepare`."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from lssat.config import Config, ConfigError, build
from lssat.data.parallel import Spread, in_processes
from lssat.data.prepare.prepare import fingerprint_of, write
from lssat.data.prepared.table import SPLITS, read_info
from lssat.data.sources.source import OPTIONS, absolute

EPILOG = """examples:
  python -m lssat.data.prepare celeba /data/CelebA shards/celeba
  python -m lssat.data.prepare faceforensics '/data/FaceForensics++?compression=c40&methods=Deepfakes,FaceSwap' shards/ff-c40
  python -m lssat.data.prepare own /data/faces.parquet shards/faces --task male
  python search/run.py --space spaces/backbones.yaml --data shards/celeba

The tree is taken as its owner publishes it. Images and frames become squares of at most 256 pixels; a table's or folder's own images are kept as they
are. What cannot be used is listed in <shards>/rejects.csv with its reason and never replaced. Interrupted, the same command goes on with the
shards that are missing; a table that holds its images is begun anew. On a cluster (--address) the source and the shards must be in folders that
all nodes see."""


def main() -> int:
    """0: done, 2: bad input, 130: interrupted."""
    arguments = _parser().parse_args()
    console = Console(stderr=True)
    try:
        _prepare(arguments, console)
    except ConfigError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it can")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    kinds = ", ".join(f"{kind} ({', '.join(options)})" if options else kind for kind, options in OPTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m lssat.data.prepare",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "kind",
        choices=["own", *OPTIONS],
        metavar="KIND",
        help=f"own, or a published data set (with its options): {kinds}",
    )
    parser.add_argument("source", help="the folder or table; options follow as ?name=value&...")
    parser.add_argument("shards", type=Path, help="the folder to write; it appears when it is whole")
    parser.add_argument(
        "--task", help="what is learnt: label column(s), or attributes of CelebA; default: the natural task of the kind"
    )
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label")
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


def _prepare(arguments: argparse.Namespace, console: Console) -> None:
    source = absolute(arguments.source if arguments.kind == "own" else f"{arguments.kind}:{arguments.source}")
    given = {
        "data.source": source,
        "data.task": arguments.task,
        "data.classes": arguments.classes.split(",") if arguments.classes else None,
        "data.seed": arguments.seed,
        "data.max_rejects": arguments.max_rejects,
        "data.allow_leaks": arguments.allow_leaks or None,
    }
    config: Config = build({key: value for key, value in given.items() if value is not None})
    folder = arguments.shards.absolute()
    fingerprint = fingerprint_of(config.data)
    if folder.exists() and (not (folder / "dataset.json").exists() or read_info(folder).fingerprint != fingerprint):
        raise ConfigError(f"`{folder}` exists and holds something else; delete it, or name another folder")
    spread: Spread = in_processes
    if arguments.address:
        from lssat.on_ray.spread import on_cluster

        spread = on_cluster(arguments.address)
    with console.status("reading names and labels") if console.is_terminal else nullcontext() as status:

        def note(text: str) -> None:
            if status is not None:
                status.update(text)
            else:
                console.print(text, markup=False, soft_wrap=True)

        write(folder, config.data, fingerprint, note, spread)
    info = read_info(folder)
    for split in SPLITS:
        print(
            f"{split:<6}{info.rows[split]:>9}  "
            + ", ".join(f"{name} {count}" for name, count in info.counts[split].items())
        )
    print(
        f"{len(info.rejects)} rejects, {info.options['leaks']} leaks across splits; described in "
        f"{folder / 'dataset.json'}"
    )


if __name__ == "__main__":
    sys.exit(main())
