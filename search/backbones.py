"""Before anything starts: the backbones of a space that the catalogue does not vouch for are built once, pretrained weights included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lssat import catalog
from lssat.config import Config, build
from search.space import Space

DECIDING = ("backbone.family", "backbone.size", "backbone.name", "backbone.patch_size", "backbone.pretrained", "head.pooling", "masking.mode", "auxiliary")


def check_backbones(space: Space, say: Callable[[str], None]) -> None:
    """Build each backbone that a space can draw and that has pretrained weights, a name of timm's, a pooling or a masking of its own.

    Weights from the hub are then in the cache, and how they match is said. Raises ConfigError: better now than in every trial.
    """
    for config in drawn(space):
        backbone, pooling = config.backbone, config.head.pooling
        if not (backbone.pretrained or backbone.name or pooling != "native" or config.masking.mode != "token"):
            continue
        from lssat.encoders import build_encoder
        from lssat.model import build_model
        from lssat.pretrained import load_pretrained

        build_model(config, 1, trained=True)
        if backbone.pretrained:
            name = catalog.architecture(backbone)
            encoder = build_encoder(backbone, config.masking, config.data.image_size, masked=config.trains_auxiliary, trained=True)
            say(f"weights   {name}: {load_pretrained(encoder.model, name, backbone.pretrained)}")


def drawn(space: Space) -> Iterator[Config]:
    """A configuration for each combination of the choices that decide what is built; of other keys the first choice or the low end."""
    keys = _with_conditions(space)
    pending: list[tuple[int, ...]] = [()]
    while pending:
        turns = pending.pop()
        walk = _Walk(turns, keys)
        yield build(space.sample(walk), space.places)
        taken = turns + (0,) * (len(walk.offered) - len(turns))
        pending += [(*taken[:at], other) for at in range(len(turns), len(taken)) for other in range(1, walk.offered[at])]


def _with_conditions(space: Space) -> set[str]:
    """The deciding keys, and those whose values decide whether these are drawn."""
    keys = set(DECIDING)
    while more := {key for parameter in space.parameters if parameter.key in keys for key in parameter.when} - keys:
        keys |= more
    return keys


class _Walk:
    """A trial that takes given turns where a key of `keys` is drawn, the first choice after those, and notes how many there were."""

    def __init__(self, turns: Sequence[int], keys: set[str]) -> None:
        self._turns = turns
        self._keys = keys
        self.offered: list[int] = []

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name.split("@")[0] not in self._keys:
            return choices[0]
        at = len(self.offered)
        self.offered.append(len(choices))
        return choices[self._turns[at] if at < len(self._turns) else 0]

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low
