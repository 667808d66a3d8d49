"""The section `resources` of a space file: what a trial gets by the size of its backbone. Imports neither torch nor
Ray.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lssat.config import check_value
from lssat.errors import ConfigError
from lssat.model import catalog
from lssat.settings.training import ResourcesConfig
from lssat.text.did_you_mean import nearest
from search.space.yaml_lines import Document


def rows(document: Document, *path: str) -> Iterator[tuple[str, str, Any, str]]:
    """(size, dotted key, value, location) of each cell of the table at a path.

    Raises ConfigError for sizes and keys that do not exist, ranges that run backwards or overlap, and wrong values.
    """
    row_of_size: dict[str, str] = {}
    for span in document.mapping(*path):
        location = document.location(*path, span)
        row = document.mapping(*path, span)
        if not row:
            raise ConfigError(
                f"`{span}` of `resources` must be a mapping such as {{gpus_per_worker: 1}}; fill it in, or delete it "
                f"({location})"
            )
        for size in _sizes(span, location):
            if size in row_of_size:
                raise ConfigError(
                    f"`resources` names the size {size} twice, in `{row_of_size[size]}` and in `{span}`; let each size "
                    f"be in one row ({location})"
                )
            row_of_size[size] = span
            for key, value in row.items():
                cell_location = document.location(*path, span, key)
                _check_cell(key, value, cell_location)
                yield size, f"resources.{key}", value, cell_location


def _check_cell(key: str, value: Any, location: str) -> None:
    if key not in ResourcesConfig.model_fields:
        raise ConfigError(
            f"unknown key `{key}` in `resources`; {nearest(key, ResourcesConfig.model_fields)} ({location})"
        )
    check_value(f"resources.{key}", value, location)


def _sizes(span: str, location: str) -> list[str]:
    """`tiny` or `atto..nano`, both ends included."""
    known = list(catalog.SIZES)
    ends = span.split("..")
    for end in ends:
        if end not in known:
            raise ConfigError(
                f"`{span}` of `resources` must be a size, or a range such as atto..nano, but got {end!r}; "
                f"{nearest(end, known)} ({location})"
            )
    if len(ends) == 1:
        return ends
    first, last = known.index(ends[0]), known.index(ends[-1])
    if len(ends) > 2 or first >= last:
        raise ConfigError(
            f"`{span}` of `resources` must run from a smaller to a larger size; their order is {', '.join(known)} "
            f"({location})"
        )
    return known[first : last + 1]
