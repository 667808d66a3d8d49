"""What the texture does on each backbone and on all together, where the same was trained without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lssat.errors import ConfigError
from lssat.model import catalog
from search.claims.pooled import Effect, Help, Pairs, Texture, texture
from search.findings.roles.study_runs import StudyRuns, arm_of
from search.record.trials import TrialRecord
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm

TEXTURES = ("RLBP", "RLDP")
"""How the streams name a texture that the auxiliary task rebuilds."""
SAID = {
    Help.HELPS: "helps",
    Help.HARMS: "harms",
    Help.UNTOLD: "cannot be told to help or to harm",
    Help.EQUIVALENT: "makes no difference to speak of to",
}


@dataclass(frozen=True)
class TextureEffects:
    """`candidates`: of how many trials the arms were picked; 0: they were not. margin: of differences that matter."""

    found: Texture
    candidates: int
    margin: float

    @property
    def effects(self) -> list[Effect]:
        """Of each backbone, then of all."""
        return [*self.found.each, *([self.found.pooled] if self.found.pooled else [])]


def texture_of(runs: StudyRuns) -> TextureEffects | None:
    """From the final stage if there is one, else from a grid; None where nothing was trained with and without it.

    Raises ConfigError that says in words why nothing can be said.
    """
    search = runs.manifest.space.search
    is_final, candidates = True, sum(record.last is not None for record in runs.trials)  # the scheduler stops them, too
    pairs = texture_pairs(runs.finals, runs.keys, Baselines(runs.folder, search).of)
    if not pairs and runs.is_grid:
        is_final, candidates = False, 0
        pairs = texture_pairs(runs.complete, runs.keys, lambda arm: arm.baseline)
    if not pairs:
        return None
    try:
        found = texture(runs.of_finals if is_final else runs.of_search, pairs, candidates, search.margin)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return TextureEffects(found, candidates, search.margin)


def texture_pairs(records: Sequence[TrialRecord], keys: Sequence[str], baseline_of: Callable[[Arm], Arm]) -> Pairs:
    """Backbone -> the arms whose auxiliary task rebuilds a texture, and for each of them its baseline without it."""
    named = {arm_of(record, keys): record for record in records}
    arms = {name: Arm(name, record.sampled) for name, record in named.items()}
    without = {arm.baseline.identity: name for name, arm in arms.items() if not arm.config.trains_auxiliary}
    pairs: dict[str, tuple[list[str], list[str]]] = {}
    for name, arm in arms.items():
        twin = without.get(baseline_of(arm).identity)
        if twin and arm.config.trains_auxiliary and any(stream in arm.config.streams for stream in TEXTURES):
            sides = pairs.setdefault(catalog.architecture(arm.config.backbone), ([], []))
            sides[0].append(name)
            sides[1].append(twin)
    return pairs


def claims_of_texture(of: TextureEffects) -> dict[str, str]:
    """What may be said of all backbones together, each sentence by what it is about."""
    found = of.found
    if found.why:
        return {
            "untold": f"Whether the texture helps cannot be told: {found.why}. The differences below are of these runs "
            "on these validation images."
        }
    pooled, backbones = found.pooled or found.each[0], len(found.each)
    over = f"these {backbones} backbones, taken together" if backbones > 1 else pooled.backbone
    said = {"all": f"The texture {SAID[pooled.word]} {over}."}
    if backbones > 1:
        said["differs"] = (
            "It does not do the same to each."
            if found.differs
            else "That it does more to one than to another cannot be told."
        )
        said["limits"] = "All statements together hold in 95% of studies; of other backbones they say nothing."
    return said


def picked(of: TextureEffects) -> str:
    """That the arms were chosen by what they are compared with; empty where they were not."""
    if not of.candidates:
        return ""
    return (
        f"The finalists were picked out of {of.candidates} trials by their scores on these images, which the intervals "
        "allow for."
    )
