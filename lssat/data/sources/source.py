"""What `data.source` says: a kind of data set, where it is and its options, or a path of one's own data.

The text is a value of the configuration, and travels as such. It becomes a `Source` once, by `located`, when data are
prepared or estimated; who reads them is given that. `absolute` and `short_name` parse the text for themselves, before
the path needs to exist: a command line is put into the configuration, and a run folder is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from lssat.command import is_address
from lssat.errors import ConfigError
from lssat.text.did_you_mean import listed, nearest
from lssat.text.visible import on_one_line

FORM = re.compile(r"(?P<kind>[A-Za-z]\w*):(?P<path>[^?]*)(?:\?(?P<options>.*))?")
ROLES = ("label", "identity", "video", "split", "source_identity", "real")
OPTIONS: dict[str, tuple[str, ...]] = {
    "table": ("image", *ROLES),
    "files": ("pattern", "frames", *ROLES),
    "huggingface": ("image", *ROLES),
    "celeba": (),
    "affectnet": ("classes",),
    "faceforensics": ("compression", "methods", "frames"),
    "celebdf": ("frames",),
    "celebdfpp": ("frames",),
    "dfdc": ("frames",),
    "deepfakebench": ("dataset", "compression", "frames"),
    "df40": ("methods", "domains", "compression", "frames"),
    "fairface": (),
    "rafdb": (),
    "fer2013": (),
    "ferplus": (),
}
MAPPED = ("table", "files", "huggingface")
"""Kinds of layouts of one's own data, whose options say what is what. As of all own data, pictures are kept whole."""
FILES = {"deepfakebench": (".json",), "table": (".csv", ".parquet"), "huggingface": (".parquet",)}
"""Endings of the files that may be given instead of a folder; a table is always one."""
SYNTHETIC = "synthetic"
OWN = "own"
FRAMES = 32  # per video, evenly spaced, as is common practice with FaceForensics++


class Source(NamedTuple):
    """`kind`: one of `OPTIONS`, "own" or "synthetic", which has no path. `options`: those given, as text."""

    kind: str
    path: Path
    options: dict[str, str]

    def text(self, name: str) -> str | None:
        """The value of an option in which `%26` is `&`; None where it is not given."""
        return unquote(self.options[name]) if name in self.options else None

    def choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        """The value of an option that must be one of those known. Raises ConfigError."""
        value = self.options.get(name, default)
        if value not in known:
            raise ConfigError(f"`data.source`: option `{name}` must be one of {listed(known)}, but got `{value}`")
        return value

    def num_frames(self) -> int:
        """Frames to take of each video. Raises ConfigError."""
        value = self.options.get("frames", str(FRAMES))
        if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
            raise ConfigError(f"`data.source`: option `frames` must be a whole number above 0, but got `{value}`")
        return int(value)


def located(text: str) -> Source:
    """The source, its path found and resolved. Raises ConfigError where there is nothing."""
    if text == SYNTHETIC:
        return Source(SYNTHETIC, Path(SYNTHETIC), {})
    source = _parse(text)
    path = source.path
    if not path.exists():
        raise _missing(path, text)
    if source.kind != OWN and not path.is_dir() and path.suffix.lower() not in (endings := FILES.get(source.kind, ())):
        or_file = f", or a {' or '.join(endings)} file" if endings else ""
        raise ConfigError(
            f"`data.source`: `{path}` must be the folder of a {source.kind} data set{or_file}, but it is a file"
        )
    if source.kind == "table" and path.is_dir():
        raise ConfigError(f"`data.source`: `{path}` must be a .csv or .parquet table, but it is a folder")
    return source._replace(path=path.resolve() if path.is_dir() else path)


def absolute(text: str) -> str:
    """The same source with its path made absolute and links on the way resolved. Raises ConfigError."""
    source = _parse(text)
    path = source.path.resolve()
    if source.kind == OWN:
        return str(path)
    options = "&".join(f"{name}={value}" for name, value in source.options.items())
    return f"{source.kind}:{path}" + (f"?{options}" if options else "")


def short_name(text: str) -> str:
    """What a run folder calls the source: its kind, or the name of one's own data. Raises ConfigError."""
    source = _parse(text)
    return source.path.stem if source.kind in (OWN, *MAPPED) else source.kind


def short_names(texts: Sequence[str]) -> tuple[str, ...]:
    """The same of several sources, each unlike the others: `faces`, `faces-2`. Raises ConfigError."""
    names: list[str] = []
    for text in texts:
        name = on_one_line(short_name(text))
        others = (f"{name}-{number}" for number in count(2))
        names.append(name if name not in names else next(other for other in others if other not in names))
    return tuple(names)


def joined_name(texts: Sequence[str]) -> str:
    """What several sources together are called. Raises ConfigError."""
    return " + ".join(short_names(texts))


def _parse(text: str) -> Source:
    """`kind:path?option=value&...`, or a path. Raises ConfigError for unknown kinds and options."""
    if is_address(text):
        raise ConfigError(f"`data.source` must be a path of this machine, but got the address `{text}`; copy it first")
    form = FORM.fullmatch(text)
    if form is None or os.path.exists(text):  # which says no of a name that is too long for a file
        return Source(OWN, Path(text).expanduser().absolute(), {})
    kind = form["kind"]
    if kind not in OPTIONS:
        hint = nearest(kind, OPTIONS, "known kinds are")
        raise ConfigError(
            f"`data.source`: unknown kind of data set `{kind}` in `{text}`; {hint} Your own table or folder is given "
            "by its path alone"
        )
    if not form["path"]:
        raise ConfigError(
            f"`data.source` must read `{kind}:PATH`, but got `{text}`; name the folder that holds the data set"
        )
    return Source(kind, Path(form["path"]).expanduser().absolute(), _options(kind, form["options"] or "", text))


def _options(kind: str, text: str, source: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if name not in OPTIONS[kind]:
            hint = nearest(name, OPTIONS[kind], f"those of `{kind}` are") if OPTIONS[kind] else f"`{kind}` has none"
            raise ConfigError(f"`data.source`: unknown option `{name}` in `{source}`; {hint}")
        if not value or name in options:
            raise ConfigError(f"`data.source`: option `{name}` must be given once as {name}=VALUE, but got `{source}`")
        options[name] = value
    return options


def _missing(path: Path, text: str) -> ConfigError:
    """Names what is beside the first part of the path that is missing; `text` is how the source was given."""
    folder = next(parent for parent in path.parents if parent.is_dir())
    found = [*sorted(item.name for item in folder.iterdir()), SYNTHETIC]
    hint = nearest(path.relative_to(folder).parts[0], found, f"`{folder}` holds")
    return ConfigError(f"`data.source`: there is no `{text}`; {hint}")
