"""Does the texture help: what search.claims says of each backbone and of all, on the page."""

import pytest

from search.findings.roles.page import roles
from search.findings.roles.texture import texture_of
from search.page.charts import spec
from search.page.sections.questions import texture
from tests.search.page.questions.planted import (
    BACKBONES,
    TEXTURES,
    begun,
    charts,
    grid,
    on_page,
    statements,
    tables,
    without_predictions,
)


def helps(sampled):
    return 0.9 if sampled["auxiliary"] else 0.6


@pytest.fixture(scope="module")
def helped(tmp_path_factory):
    """A grid in which the texture helps."""
    return grid(tmp_path_factory.mktemp("texture") / "s", TEXTURES, helps)


def test_words_and_intervals_are_those_of_the_claims(helped):
    study = on_page(helped)
    section, found = texture.section(study), texture_of(study.finished)
    said, table = statements(section), tables(section)["texture"]
    assert said["texture.all"].text == "The texture helps these 2 backbones, taken together."
    assert said["texture.all"].interval == (found.found.pooled.low, found.found.pooled.high)
    for effect in found.found.each:
        assert said[f"texture.{effect.backbone}"].interval == (effect.low, effect.high)
        assert f"The texture {effect.word.value} {effect.backbone}" in said[f"texture.{effect.backbone}"].text
    assert [row[0] for row in table.rows] == [effect.backbone for effect in found.effects]
    assert [row[4] for row in table.rows] == [effect.word.value for effect in found.effects]


def test_the_page_and_the_command_say_the_same(helped):
    printed = roles(helped)
    said = statements(texture.section(on_page(helped)))
    for what in ("texture.all", "texture.differs", "texture.limits"):
        assert said[what].text in printed


def test_the_chart_has_each_backbone_and_all_of_them(helped):
    drawn = str(spec(charts(texture.section(on_page(helped)))["texture_effects"].chart))
    assert all(name in drawn for name in ("test_resnet", "test_convnext", "all of them", "helps"))


def test_without_predictions_differences_are_shown_without_intervals(tmp_path):
    section = texture.section(on_page(without_predictions(grid(tmp_path / "s", TEXTURES, helps))))
    said = statements(section)
    assert "cannot be told" in said["texture.untold"].text and said["texture.untold"].interval is None
    assert all(row[2] is None and row[4] == "cannot be told" for row in tables(section)["texture"].rows)


def test_where_nothing_was_trained_without_it_there_is_no_section(tmp_path):
    assert texture.section(on_page(grid(tmp_path / "s", BACKBONES, lambda sampled: 0.8))) is None
    folder, _ = begun(tmp_path / "none", TEXTURES)
    assert texture.section(on_page(folder)) is None
