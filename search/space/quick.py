"""A smoke run of a space: little of everything, so that the whole way to a winner is gone in minutes."""

from __future__ import annotations

from typing import Any

from search.space.definition import Space, defaults

EPOCHS = 2
ROWS = 500
"""For training."""
UNKNOWN_SHARE = 0.1
"""Of the training rows, where their number is not known before they are prepared."""
SEARCH = {"num_trials": 3, "finalists": 1, "final_seeds": 2}
"""The most of each."""
WARNING = "a smoke run shows that everything runs; its scores, ranks and winner say nothing"


def smoke_settings(space: Space, num_rows: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings to pin and those of the search, none larger than the space has them. `num_rows`: of training, None
    where nobody knows.
    """
    own = {**defaults(), **space.fixed}
    pinned: dict[str, Any] = {"optim.epochs": min(EPOCHS, own["optim.epochs"])}
    if "optim.warmup_epochs" in {*space.fixed, *space.searched_keys}:
        pinned["optim.warmup_epochs"] = pinned["optim.epochs"] / 2
    if own["data.source"] == "synthetic":
        pinned["data.num_images"] = min(ROWS, own["data.num_images"])
    else:
        share = UNKNOWN_SHARE if num_rows is None else round(min(1.0, ROWS / num_rows), 4)
        pinned["data.train_fraction"] = min(own["data.train_fraction"], share)
    search: dict[str, Any] = {key: min(most, getattr(space.search, key)) for key, most in SEARCH.items()}
    search |= {"grace_epochs": 1, "max_epochs": None}
    if space.search.sampler == "grid":
        search["sampler"] = "random"
    return pinned, search


def changes(before: Space, after: Space) -> str:
    """What differs, as `key new (old)`."""
    old, new = _settings(before), _settings(after)
    changed = [key for key in {**old, **new} if old.get(key, "") != new.get(key, "")]
    return ", ".join(f"{key} {new.get(key)} ({old.get(key, 'searched')})" for key in changed)


def _settings(space: Space) -> dict[str, Any]:
    """Fixed ones, and those of the search; defaults where nobody fixed or searches them."""
    open_keys = set(space.searched_keys)
    fixed = {key: value for key, value in {**defaults(), **space.fixed}.items() if key not in open_keys}
    return {**fixed, **{f"search.{key}": value for key, value in space.search.model_dump().items()}}
