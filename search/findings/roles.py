"""What role each setting plays in a study, and what the texture does on each backbone: statistics in words and tables.

A grid is compared: every setting varies by itself, so that its share can be told. A search is described: it draws what
it hopes for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lssat.config import ConfigError
from lssat.markdown import markdown_table
from lssat.model import catalog
from search.claims.factors import Levels, always_with
from search.claims.importance import INTERACTIONS, Importance, Role, Share, importance
from search.claims.pooled import Effect, Help, Pairs, Texture, texture
from search.claims.runs import Runs
from search.claims.words import listed
from search.findings.scored_runs import scored_runs
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest, read_manifest
from search.record.trials import Status, TrialRecord
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm

Arms = dict[str, tuple[str, int]]
"""Run -> its arm and its seed."""
SEED = "seed"
TEXTURES = ("RLBP", "RLDP")
"""How the streams name a texture that the auxiliary task rebuilds."""


def roles(folder: RunFolder) -> str:
    """Markdown. Raises ConfigError for what is no study, or one that tells nothing yet."""
    manifest = read_manifest(folder.manifest, "give a run folder of this project, `results/<name>`")
    keys = [key for key in manifest.space.searched_keys if key != SEED]
    is_grid = manifest.space.search.sampler == "grid"
    trials = folder.records(Stage.SEARCH)
    complete = [record for record in trials if record.status == Status.COMPLETE]
    if not complete:
        raise ConfigError(f"{folder.path} has no trial with its full budget; let the study go on with `--resume`")
    if not keys:
        settings = "Only seeds were searched: there is no setting to speak of.\n"
    elif is_grid:
        settings = _of_grid(folder, complete, keys, len(trials) - len(complete))
    else:
        settings = _of_search(folder, manifest, complete)
    parts = [f"# What role each setting plays: {folder.name}\n", settings]
    finals = [record for record in folder.records(Stage.FINAL) if record.status == Status.COMPLETE]
    search = manifest.space.search
    if pairs := texture_pairs(finals, keys, Baselines(folder, search).of):
        candidates = sum(record.last is not None for record in trials)  # the scheduler stops them on the same rows
        runs = scored_runs(folder, Stage.FINAL, _arms(finals, keys))
        parts.append(_of_texture(runs, pairs, candidates, search.margin))
    elif is_grid and (pairs := texture_pairs(complete, keys, lambda arm: arm.baseline)):
        runs = scored_runs(folder, Stage.SEARCH, _arms(complete, keys))
        parts.append(_of_texture(runs, pairs, 0, search.margin))
    return "\n".join(parts)


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


def arm_of(record: TrialRecord, keys: Sequence[str]) -> str:
    """What a run trained, whatever its seed: searched keys of a trial, or the arm of a run of the final stage."""
    name, _, seed = record.name.rpartition("-seed")
    if name and seed.isdigit():
        return name
    return ", ".join(f"{key}={value}" for key, value in record.sampled.items() if key in keys)


def _of_grid(folder: RunFolder, complete: Sequence[TrialRecord], keys: Sequence[str], num_missing: int) -> str:
    arms = _arms(complete, keys)
    levels: Levels = {key: {arm_of(of, keys): _value(of, key) for of in complete} for key in keys}
    try:
        found = importance(scored_runs(folder, Stage.SEARCH, arms), levels)
    except ValueError as error:
        raise ConfigError(f"the trials of {folder.path} cannot be compared: {error}") from error
    return words_of_grid(found, len(complete), num_missing)


def words_of_grid(found: Importance, num_complete: int, num_missing: int) -> str:
    """The section of a grid's settings, of so many trials."""
    rows = [_row(share) for share in found.shares]
    floor = "training anew (the floor)" if found.has_floor else f"{INTERACTIONS} and training anew, together"
    rows.append([floor, _percent(found.noise), "", ""])
    table = markdown_table(["setting", "share", "95% interval", "role"], rows, ["share", "95% interval"])
    notes = [
        "Shares are of the variance of one run's score over the grid. `matters`: the expected score over seeds and "
        "validation images differs between its values; about 5% of studies say so of any setting falsely."
    ]
    if num_missing:
        notes.append(
            f"{num_missing} of the {num_missing + num_complete} trials did not reach their full budget and are left "
            "out; where the scheduler stopped them, what is left is a choice of the better ones."
        )
    return _section("Settings", [_said(found), table, *notes, *_of_values(found.shares)])


def _said(found: Importance) -> str:
    """The claims in a sentence each."""
    told = [share for share in found.shares if share.role is Role.MATTERS]
    untold = [share for share in found.shares if share.role is Role.UNTOLD]
    sentences = []
    if found.why:
        sentences.append(
            f"Which setting matters cannot be told: {found.why}. The shares below are of these runs on these "
            "validation images; other seeds and other images may give others."
        )
    else:
        if told:
            sentences.append(f"{_names(told)} {'matters' if len(told) == 1 else 'matter'}.")
        if untold:
            sentences.append(f"Of {_names(untold)} it cannot be told.")
    if not found.has_floor:
        sentences.append(
            f"No arm ran from two seeds, so there is no noise floor: {INTERACTIONS} and what training anew makes "
            "cannot be told apart. Give the grid seeds: `seed: [0, 1, 2]`."
        )
    return " ".join(sentences)


def _row(share: Share) -> list[str]:
    if share.role is Role.CONFOUNDED:
        return [share.factor, "", "", f"confounded with {listed(share.confounded)}"]
    interval = "" if math.isnan(share.low) else f"{_percent(share.low)} to {_percent(share.high)}"
    return [share.factor, _percent(share.share), interval, share.role.value]


def _of_values(shares: Sequence[Share]) -> list[str]:
    return [
        f"Of {share.factor}, {listed(share.apart)} never changed by itself, and is not compared."
        for share in shares
        if share.apart
    ]


def _of_search(folder: RunFolder, manifest: Manifest, complete: Sequence[TrialRecord]) -> str:
    from search.strategy.importance import describe  # Optuna is slow to import

    if not folder.has_begun:
        return _section(
            "Settings", [f"Nothing can be said of the settings: {folder.study_db} is not there; restore it."]
        )
    try:
        found = describe(folder.study_db, {each.name: each.key for each in manifest.space.parameters})
    except ConfigError as error:
        return _section("Settings", [f"Nothing can be said of the settings: {error}."])
    choices = {each.key for each in manifest.space.parameters if each.choices}
    with_others = always_with({key: tuple(_value(of, key) for of in complete) for key in choices if key != SEED})
    rows = []
    for weight in found.weights:
        if weight.key in with_others:
            rows.append([weight.key, "", "", f"confounded with {listed(with_others[weight.key])}"])
        elif weight.key != SEED:
            rows.append([weight.key, _percent(weight.share), f"{_percent(weight.low)} to {_percent(weight.high)}", ""])
    said = (
        f"This is a description of a search, and no test: how differently the {found.top} best of its trials "
        f"({found.complete} complete, {found.stopped} stopped and ranked below them) are spread over each setting's "
        "values than all are (conditional PED-ANOVA). A search draws where it hopes, from one seed a trial; to learn "
        "what matters, run a grid with seeds."
    )
    note = (
        "Spread: where the share lies in 95% of draws of the trials with replacement. It shows how much hangs on "
        "single trials, and is no confidence interval."
    )
    header = ["setting", "importance", "spread", "note"]
    return _section("Settings", [said, markdown_table(header, rows, header[1:3]), note])


def _of_texture(runs: Runs, pairs: Pairs, candidates: int, margin: float) -> str:
    try:
        found = texture(runs, pairs, candidates, margin)
    except ValueError as error:
        return _section("Texture", [f"Nothing can be said of the texture: {error}."])
    return words_of_texture(found, candidates)


def words_of_texture(found: Texture, candidates: int) -> str:
    """The section of the texture. `candidates`: of how many trials the arms were picked; 0: they were not."""
    effects = [*found.each, *([found.pooled] if found.pooled else [])]
    rows = [_effect_row(effect, found) for effect in effects]
    header = ["backbone", "with - without", "95% interval", "the texture"]
    table = markdown_table(header, rows, header[1:3])
    return _section("Texture", [_said_of_texture(found), table, *_picked(candidates)])


def _said_of_texture(found: Texture) -> str:
    if found.why:
        return (
            f"Whether the texture helps cannot be told: {found.why}. The differences below are of these runs on these "
            "validation images."
        )
    of_all = found.pooled or found.each[0]
    words = {Help.UNTOLD: "cannot be told to help or to harm", Help.EQUIVALENT: "makes no difference to speak of to"}
    backbones = len(found.each)
    over = f"these {backbones} backbones, taken together" if backbones > 1 else of_all.backbone
    said = f"The texture {words.get(of_all.word, of_all.word.value)} {over}."
    if backbones == 1:
        return said
    differs = (
        "It does not do the same to each"
        if found.differs
        else "That it does more to one than to another cannot be told"
    )
    return f"{said} {differs}. All statements together hold in 95% of studies; of other backbones they say nothing."


def _effect_row(effect: Effect, found: Texture) -> list[str]:
    interval = "" if found.why or math.isnan(effect.low) else f"{effect.low:+.4f} to {effect.high:+.4f}"
    return [effect.backbone, f"{effect.difference:+.4f}", interval, effect.word.value]


def _picked(candidates: int) -> list[str]:
    if not candidates:
        return []
    return [
        f"The finalists were picked out of {candidates} trials by their scores on these images, which the intervals "
        "allow for."
    ]


def _arms(records: Sequence[TrialRecord], keys: Sequence[str]) -> Arms:
    return {record.name: (arm_of(record, keys), record.config.seed) for record in records}


def _value(record: TrialRecord, key: str) -> str | None:
    value = record.sampled.get(key)
    return None if value is None else str(value)


def _section(title: str, parts: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


def _names(shares: Sequence[Share]) -> str:
    return listed([share.factor for share in shares])


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.0f}%"
