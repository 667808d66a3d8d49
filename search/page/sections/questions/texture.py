"""Whether the texture helps: on each backbone, and on all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lssat.errors import ConfigError
from search.claims.pooled import Effect
from search.findings.roles import texture
from search.findings.roles.texture import SAID, TextureEffects, texture_of
from search.page.charts import differences
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.study import StudyOnPage

TITLE = "Does the texture help?"
RULE = "Student's t over seeds and validation units, all that is said of the texture together at 5%"


def section(study: StudyOnPage) -> Section | None:
    """None where nothing was trained with a texture and without it."""
    try:
        found = texture_of(study.finished)
    except ConfigError as error:
        said = Statement(f"{study.id}.texture.nothing", f"Nothing can be said of the texture: {error}.")
        return Section("texture", TITLE, [said])
    return Section("texture", TITLE, list(_blocks(study, found))) if found else None


def _blocks(study: StudyOnPage, of: TextureEffects) -> Iterator[Block]:
    name = study.file("texture")
    pooled = of.effects[-1]
    for what, text in texture.claims_of_texture(of).items():
        interval = _interval(pooled) if what == "all" else None
        is_limit = what == "limits"
        yield Statement(
            f"{study.id}.texture.{what}", text, "" if is_limit else RULE, interval, of.margin, f"{name}.csv"
        )
    if text := texture.picked(of):
        yield Statement(f"{study.id}.texture.picked", text)
    yield _chart(of, study.file("texture_effects"))
    yield Table(
        name,
        "Scores with the texture less those of the same without it",
        ("backbone", "with - without", "low", "high", "the texture"),
        [_row(effect) for effect in of.effects],
    )
    if not of.found.why and of.found.pooled:
        yield from (_of_backbone(study, effect, of) for effect in of.found.each)


def _of_backbone(study: StudyOnPage, effect: Effect, of: TextureEffects) -> Statement:
    text = f"The texture {SAID[effect.word]} {effect.backbone} ({effect.difference:+.4f})."
    return Statement(
        f"{study.id}.texture.{effect.backbone}",
        text,
        RULE,
        _interval(effect),
        of.margin,
        f"{study.file('texture')}.csv",
    )


def _chart(of: TextureEffects, name: str) -> Chart:
    rows = [
        {
            "name": effect.backbone,
            "difference": effect.difference,
            "low": None if math.isnan(effect.low) else effect.low,
            "high": None if math.isnan(effect.high) else effect.high,
            "word": effect.word.value,
        }
        for effect in of.effects
    ]
    return Chart(
        name,
        "What does the texture do to each backbone?",
        differences(rows, of.margin, "score with the texture less that without it"),
        "Right of 0 the texture helps. Bars are 95% intervals, all true together in 95% of studies. The band is the "
        f"margin (±{of.margin:g}), within which differences do not matter.",
    )


def _row(effect: Effect) -> Sequence[Cell]:
    bounds = _interval(effect) or (None, None)
    return [effect.backbone, effect.difference, *bounds, effect.word.value]


def _interval(effect: Effect) -> tuple[float, float] | None:
    return None if math.isnan(effect.low) else (effect.low, effect.high)
