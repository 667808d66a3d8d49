"""What role each setting plays in a study, and what the texture does on each backbone, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lssat.errors import ConfigError
from lssat.text.markdown import markdown_table
from search.claims.importance import Role, Share
from search.claims.words import listed
from search.findings.roles import settings, texture
from search.findings.roles.settings import GridSettings, SearchSettings, settings_of
from search.findings.roles.study_runs import SEED, StudyRuns
from search.findings.roles.texture import TextureEffects, texture_of
from search.findings.scored_runs import StageRuns
from search.record.folder import RunFolder, Stage
from search.record.manifest import read_manifest


def roles(folder: RunFolder) -> str:
    """Markdown. Raises ConfigError for what is no study, or one that tells nothing yet."""
    manifest = read_manifest(folder.manifest, "give a run folder of this project, `results/<name>`")
    runs = StudyRuns(
        folder, manifest, folder.records(Stage.SEARCH), folder.records(Stage.FINAL), StageRuns(folder, Stage.FINAL)
    )
    if not runs.complete:
        raise ConfigError(f"{folder.path} has no trial with its full budget; let the study go on with `--resume`")
    parts = [f"# What role each setting plays: {folder.name}\n", _settings(runs), _texture(runs)]
    return "\n".join(filter(None, parts))


def _settings(runs: StudyRuns) -> str:
    try:
        found = settings_of(runs)
    except ConfigError as error:
        return _section("Settings", [f"Nothing can be said of the settings: {error}."])
    return words_of_grid(found) if isinstance(found, GridSettings) else words_of_search(found)


def _texture(runs: StudyRuns) -> str:
    try:
        found = texture_of(runs)
    except ConfigError as error:
        return _section("Texture", [f"Nothing can be said of the texture: {error}."])
    return words_of_texture(found) if found else ""


def words_of_grid(of: GridSettings) -> str:
    """The section of a grid's settings."""
    rows = [*map(_row, of.found.shares), [of.floor, _percent(of.found.noise), "", ""]]
    table = markdown_table(["setting", "share", "95% interval", "role"], rows, ["share", "95% interval"])
    claims = " ".join(settings.claims_of_grid(of).values())
    return _section("Settings", [claims, table, settings.OF_GRID, *settings.limits_of_grid(of).values()])


def words_of_search(of: SearchSettings) -> str:
    """The section of a search's settings."""
    rows = []
    for weight in of.found.weights:
        if weight.key in of.confounded:
            rows.append([weight.key, "", "", f"confounded with {listed(of.confounded[weight.key])}"])
        elif weight.key in of.constant:
            rows.append([weight.key, "", "", "one value in all trials"])
        elif weight.key != SEED:
            rows.append([weight.key, _percent(weight.share), f"{_percent(weight.low)} to {_percent(weight.high)}", ""])
    header = ["setting", "importance", "spread", "note"]
    table = markdown_table(header, rows, header[1:3])
    return _section("Settings", [settings.description_of(of), table, settings.OF_SEARCH])


def words_of_texture(of: TextureEffects) -> str:
    """The section of the texture."""
    rows = []
    for effect in of.effects:
        is_known = not of.found.why and not math.isnan(effect.low)
        interval = f"{effect.low:+.4f} to {effect.high:+.4f}" if is_known else ""
        rows.append([effect.backbone, f"{effect.difference:+.4f}", interval, effect.word.value])
    header = ["backbone", "with - without", "95% interval", "the texture"]
    table = markdown_table(header, rows, header[1:3])
    return _section("Texture", [" ".join(texture.claims_of_texture(of).values()), table, texture.picked(of)])


def _row(share: Share) -> list[str]:
    if share.role is Role.CONFOUNDED:
        return [share.factor, "", "", f"confounded with {listed(share.confounded)}"]
    interval = "" if math.isnan(share.low) else f"{_percent(share.low)} to {_percent(share.high)}"
    return [share.factor, _percent(share.share), interval, share.role.value]


def _section(title: str, parts: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.0f}%"
