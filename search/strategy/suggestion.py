"""What the searcher hands to a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lssat.config import Config, build

TUNE_KEY = "suggestion"


@dataclass(frozen=True)
class Suggestion:
    """A trial to be run. `sampled`: the dotted keys that the space fixed or sampled.

    `promoted`: the epoch at which it paused and from which it goes on; 0 for a trial that is new or was interrupted.
    """

    name: str
    sampled: Mapping[str, Any]
    promoted: int = 0

    @cached_property
    def config(self) -> Config:
        """All settings of the trial. Raises ConfigError where they break a rule."""
        return build(self.sampled)

    def for_tune(self) -> dict[str, Any]:
        """The configuration of Ray Tune's trial."""
        return {TUNE_KEY: self}


def suggestion_of(trial: Any) -> Suggestion:
    """What a trial of Ray Tune was made of."""
    suggestion: Suggestion = trial.config[TUNE_KEY]
    return suggestion
