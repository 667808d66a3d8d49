"""What commands that look at data of the same task as a winner's are told of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lssat.command import local_path
from lssat.config import build
from lssat.data.prepare.asked import OF_VIDEOS
from lssat.data.prepared.table import INFO_FILE
from lssat.data.sources.source import Source, absolute, located
from lssat.settings.data import DataConfig


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Which data, and where they are prepared."""
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        help="as of search/run.py: kind:PATH?option=value, a table, a folder per class, or a prepared folder; several "
        "(repeatable) are joined",
    )
    parser.add_argument("--task", help="label column(s); default: the natural task of the kind")
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label")
    parser.add_argument(
        "--class-names", metavar="A,B,...", help="what the classes are called, numbers by size and words by letters"
    )
    parser.add_argument(
        "--allow-leaks", action="store_true", help="these data's own splits may share persons or images"
    )
    parser.add_argument(
        "--max-rejects", type=float, metavar="SHARE", help="largest share of images that may be unusable (default 0.01)"
    )
    parser.add_argument(
        "--cache",
        type=local_path,
        default=Path("results/.data"),
        metavar="DIR",
        help="where prepared data are kept (default results/.data)",
    )


def data_of(arguments: argparse.Namespace) -> DataConfig:
    """The data that were named. Raises ConfigError."""
    keys = {
        "data.source": [absolute(text) for text in arguments.data],
        "data.task": arguments.task,
        "data.classes": arguments.classes.split(",") if arguments.classes else None,
        "data.class_names": arguments.class_names.split(",") if arguments.class_names else None,
        "data.allow_leaks": arguments.allow_leaks,
        "data.max_rejects": arguments.max_rejects,
    }
    return build({key: value for key, value in keys.items() if value is not None}).data


def as_trained(data: DataConfig, faces: Mapping[str, Any]) -> DataConfig:
    """Data whose faces are turned upright where those of a winner (`faces` of its bundle) were; prepared ones stay as
    they are, and are joined with others where they are alike. Raises ConfigError.
    """
    if not faces.get("align") or not any(_finds_faces(located(source)) for source in data.sources):
        return data
    return data.model_copy(update={"align": "upright"})


def _finds_faces(source: Source) -> bool:
    return source.kind in OF_VIDEOS and not (source.path / INFO_FILE).is_file()
