"""Image files whose names say what they show: UTKFace, LFW, `method/video/frame.png`.

A pattern such as `{method}/{video}/*.png` is compared with the whole path of each file below the folder. `{name}` is a
field: the shortest text without a slash that makes the pattern fit, and where it stands twice the same text. `*` is any
text without a slash, and `|` stands between patterns of which the first that fits counts. The fields are the columns of
a table, one row per file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lssat.data.cells import named_all
from lssat.data.prepared.table import Reject
from lssat.data.sources.columns import Roles, SourceRows, real_or_fake, roles_of, rows_of
from lssat.data.sources.listing import Listing
from lssat.data.sources.own import listing_of
from lssat.data.sources.source import Source
from lssat.data.sources.tree import IMAGE_ENDINGS, Tree, evenly_spaced
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.visible import as_text

PART = re.compile(r"\{(?P<field>[A-Za-z_]\w*)\}|(?P<any>\*)|(?P<brace>[{}])|(?P<text>[^{}*]+)")
UTKFACE = "{age}_{gender}_{race}_*.jpg"


@dataclass(frozen=True)
class Fields:
    """What the names of files say: a table of texts (`columns.Columns`)."""

    path: Path
    values: dict[str, list[str]]

    @property
    def columns(self) -> list[str]:
        """The fields of the pattern."""
        return [*self.values]

    def is_single(self, name: str) -> bool:
        """Every field is one text."""
        return name in self.values

    def texts(self, name: str) -> list[str]:
        """As `cells.named` has them; "" where the pattern that fits lacks the field."""
        return named_all(map(as_text, self.values[name]))


def listing(source: Source, data: DataConfig) -> Listing:
    """A row for every file that fits the pattern, a reject for every other. Raises ConfigError."""
    patterns = _patterns(source)
    names, fields, rejects = _matched(Tree(source.path), patterns)
    roles = roles_of(fields, source, data)
    if not names:
        first = f"; the first file is `{rejects[0].row}`" if rejects else "; it holds no files"
        raise ConfigError(f"`data.source`: no file of `{source.path}` fits `{source.text('pattern')}`{first}")
    rows = rows_of(fields, roles, names, {"images": "files"})
    rows = real_or_fake(_with_videos(rows, roles, fields), roles, fields, source.text("real"))
    if "frames" in source.options:
        rows = _some_frames(rows, source.num_frames())
    return listing_of(rows, source, data, rejects)


def _patterns(source: Source) -> list[re.Pattern[str]]:
    """Raises ConfigError where the pattern is missing or cannot be read."""
    text = source.text("pattern")
    example = f"such as `?pattern={UTKFACE}&label=race`"
    if text is None:
        raise ConfigError(f"`data.source`: `files` needs a pattern of the names of its files, {example}")
    found = [re.compile("".join(_parts(one, text))) for one in text.split("|")]
    if not any(pattern.groupindex for pattern in found):
        raise ConfigError(f"`data.source`: pattern `{text}` has no field; write fields in braces, {example}")
    return found


def _parts(pattern: str, whole: str) -> Iterator[str]:
    """The parts of a regular expression."""
    known: set[str] = set()
    for part in PART.finditer(pattern):
        if part["brace"]:
            raise ConfigError(
                f"`data.source`: pattern `{whole}` must have each field in a pair of braces, with a name of letters, "
                f"digits and `_`, such as `?pattern={UTKFACE}`"
            )
        if part["field"] in known:
            yield f"(?P={part['field']})"
        elif part["field"]:
            known.add(part["field"])
            yield f"(?P<{part['field']}>[^/]+?)"
        else:
            yield "[^/]*" if part["any"] else re.escape(part["text"])


def _matched(tree: Tree, patterns: list[re.Pattern[str]]) -> tuple[list[str], Fields, list[Reject]]:
    """The files that fit, their fields, and why the others are left out."""
    fields = list(dict.fromkeys(name for pattern in patterns for name in pattern.groupindex))
    values: dict[str, list[str]] = {name: [] for name in fields}
    names: list[str] = []
    rejects: list[Reject] = []
    for name, is_link in tree.files("").items():
        found = next(filter(None, (pattern.fullmatch(name) for pattern in patterns)), None)
        if is_link and (fault := tree.fault(name, "")):
            rejects.append(Reject(name, fault))
        elif found is None:
            is_image = name.lower().endswith(IMAGE_ENDINGS)
            rejects.append(Reject(name, "name does not fit the pattern" if is_image else "not an image file"))
        else:
            names.append(name)
            said = found.groupdict()
            for field in fields:
                values[field].append(said.get(field, ""))
    return names, Fields(tree.root, values), rejects


def _with_videos(rows: SourceRows, roles: Roles, fields: Fields) -> SourceRows:
    """A video is known by its name and the fields before it, but the split: under every method there is a `000_003`."""
    if roles.video is None:
        return rows
    before = fields.columns[: fields.columns.index(roles.video)]
    parts = [fields.texts(name) for name in before if name != roles.split]
    keys = ["/".join(filter(None, part)) if part[-1] else "" for part in zip(*parts, rows.videos, strict=True)]
    return rows._replace(videos=keys)


def _some_frames(rows: SourceRows, count: int) -> SourceRows:
    """At most so many rows of each video, evenly spaced."""
    rows_of_video: dict[str, list[int]] = defaultdict(list)
    for row, video in enumerate(rows.videos):
        rows_of_video[video or str(row)].append(row)
    kept = sorted(row for found in rows_of_video.values() for row in evenly_spaced(found, count))

    def some(values: list[str]) -> list[str]:
        return [values[row] for row in kept]

    return rows._replace(
        names=[rows.names[row] for row in kept],
        labels={name: some(texts) for name, texts in rows.labels.items()},
        identities=some(rows.identities),
        splits=some(rows.splits),
        videos=some(rows.videos),
        sources=some(rows.sources),
        columns={name: some(texts) for name, texts in rows.columns.items()},
    )
