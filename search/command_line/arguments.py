"""What `python search/run.py` can be told."""

from __future__ import annotations

import argparse
from pathlib import Path

from lssat.command import command_parser, is_address, local_path
from lssat.config import describe
from lssat.errors import ConfigError
from lssat.storage.place import Place
from search.command_line.shipped import space_path
from search.space.settings import SearchConfig

ROOT = Path(__file__).resolve().parents[2]
"""Of the project."""
SPACE = "spaces/backbones.yaml"
"""What is searched where nobody says so."""
EPILOG = """examples:
  python search/run.py
      search spaces/backbones.yaml on synthetic faces that the project renders itself
  python search/run.py --data faces.parquet --task male
      search on your own table (columns: image, one or more labels; optional split, identity)
  python search/run.py --data a.parquet --data b.parquet --task male --set data.validate_on=b
      learn from two data sets, and choose what is best on one of them
  python search/run.py --space spaces/backbones.yaml --set backbone.family=resnet --set optim.epochs=30 --num-trials 40
      pin settings; a pinned setting leaves the search
  python search/run.py --space spaces/backbones.yaml --resume
      go on with an interrupted study, or with one whose budget was spent; begin it where it has not begun
  python search/run.py --space spaces/backbones.yaml --extend 50
      add 50 trials to a study, finished or not
  python search/run.py --space results/backbones-emotion/manifest.json --name again
      run a recorded study again, as it was
  python search/run.py --data more_faces.parquet --task male --from results/backbones-faces-male
      begin with what an earlier study found; one that tells nothing here is soon left aside
  python search/run.py --again results/backbones-emotion#0007
      train one row of a study again, and say whether its curve is equal to the bit
  python search/run.py --space spaces/backbones.yaml --set search.sampler=random --set search.max_hours=2
      how the space is searched can be set as well
  python search/run.py --data faces.parquet --task male --quick
      a smoke run, in minutes: does everything run with these data?
  python search/run.py --space spaces/backbones.yaml --plan
      what the study will take, and how predictable its textures are on some of the training images, in about a minute
      and without preparing data; beside what it took where it has been run
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    keys = "\n".join(f"  {line}" for line in [*describe(), *describe(SearchConfig(), "search.")])
    whole = command_parser(
        "python search/run.py",
        "Search backbones and settings for L-SSAT with Ray Tune and Optuna.",
        f"{EPILOG}\nsettings for `fixed`, `space` and --set (default in brackets):\n{keys}",
    )
    _add_what_is_searched(whole)
    _add_places(whole)
    _add_ways_to_begin(whole)
    return whole


def _add_what_is_searched(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--space",
        type=space_path,
        default=space_path(SPACE),
        metavar="FILE",
        help="the search space, see spaces/ (default: spaces/backbones.yaml); or the manifest.json of a study, to run "
        "it again",
    )
    parser.add_argument(
        "--data",
        action="append",
        metavar="PATH",
        help="a table, a folder per class, or kind:PATH?option=value: a published data set (celeba, ...) or another "
        "layout (table, files, huggingface), see docs/data.md; several (repeatable) are joined; default: synthetic "
        "faces",
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="synthetic: emotion, attributes, deepfake; own table: label column(s), comma-separated",
    )
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label column")
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="what the classes are called, numbers by size and words by letters"
    )
    parser.add_argument(
        "--profile",
        default="auto",
        metavar="NAME",
        help="profile of the space; auto: gpu where there is one, else laptop",
    )
    parser.add_argument("--backbones", action="store_true", help="only list the backbone families and sizes")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke run of the space, in minutes: few trials, epochs and images; its result is not to be trusted",
    )
    parser.add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="end within so many hours, final stage included; with --plan: what there is time for",
    )
    parser.add_argument("--num-trials", type=int, metavar="N", help="number of trials of the study")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="pins", help="pin a setting (repeatable)"
    )


def storage_place(text: str) -> Place:
    """The type of `--storage`. argparse shows the error as a line of its own."""
    try:
        return Place.of(text if is_address(text) else Path(text).resolve())
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="NAME", help="name of the run folder; default: space, data and task")
    parser.add_argument(
        "--results",
        type=local_path,
        default=Path("results"),
        metavar="DIR",
        help="where run folders are (default: results/ in the current folder)",
    )
    parser.add_argument(
        "--storage",
        type=storage_place,
        metavar="PLACE",
        help="where checkpoints are kept: a folder that all nodes of a cluster share, or a URL (s3://bucket/path, "
        "gs://bucket/path), to which the study is copied as well, so that `--resume` goes on with it on another "
        "machine; keys by the environment only; default: --results",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="run on a Ray cluster that is up: auto, or its address; default: Ray on this machine",
    )


def _add_ways_to_begin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        type=local_path,
        action="append",
        default=[],
        metavar="STUDY",
        dest="earlier",
        help="run folder of an earlier study: its best of each backbone family is tried first, and where these hold "
        "here its other trials tell what to try (repeatable)",
    )
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
        "--again",
        metavar="STUDY#ROW",
        help="train a trial or a run of the final stage anew, as results/x#0007 or results/x#0007-seed13, and compare "
        "its curve with the record; 0: equal to the bit, 1: it parted",
    )
    existing.add_argument(
        "--plan",
        action="store_true",
        help="only say what the study will take (trials, epochs, memory, time, disk) and how predictable its textures "
        "are; launches nothing",
    )
    existing.add_argument("--overwrite", action="store_true", help="delete an existing run folder first")
