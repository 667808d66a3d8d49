"""Which backbone for this task: claims of final runs as search.claims makes them, else a description."""

import pytest

from search.claims.estimate import estimate
from search.claims.words import beside_best
from search.findings.scored_runs import scored_runs
from search.page.charts import spec
from search.page.sections.questions import backbones
from search.record.folder import Stage
from tests.search.page.questions.planted import (
    BACKBONES,
    begun,
    charts,
    grid,
    on_page,
    statements,
    tables,
    with_finals,
    without_predictions,
)

TRUTH = {"test_resnet": 0.9, "test_convnext": 0.89, "test_efficientnet": 0.6}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A study with a final stage per backbone."""
    return with_finals(tmp_path_factory.mktemp("backbones") / "s", TRUTH)


def claims_of(folder):
    """Those of the final runs, read once more."""
    arms = {}
    for record in folder.records(Stage.FINAL):
        arms[record.name] = (record.sampled["backbone.name"], record.config.seed)
    return {claim.arm: claim for claim in beside_best(estimate(scored_runs(folder, Stage.FINAL, arms)))}


def test_words_and_intervals_are_those_of_the_claims(compared):
    section, claims = backbones.section(on_page(compared)), claims_of(compared)
    said, table = statements(section), tables(section)["backbones"]
    words = {row[0]: row[table.columns.index("verdict")] for row in table.rows}
    assert words == {arm: claim.word.value for arm, claim in claims.items()}
    assert words["test_efficientnet"] == "worse"
    for arm, claim in claims.items():
        if claim.arm != claim.beside:
            assert said[f"backbones.{arm}"].interval == pytest.approx((claim.low, claim.high))
            row = next(row for row in table.rows if row[0] == arm)
            assert row[5:8] == pytest.approx([claim.difference, claim.low, claim.high])


def test_a_backbone_stands_beside_the_best_as_its_arm_does_among_the_finalists(compared):
    study = on_page(compared)
    arms = {row.backbone: row.best for row in study.table}
    said = statements(backbones.section(study))
    for backbone, told in arms.items():
        if told.difference is not None:
            assert said[f"backbones.{backbone}"].interval == pytest.approx((told.claim.low, told.claim.high))


def test_charts_show_all_backbones_and_what_is_said_of_them(compared):
    found = charts(backbones.section(on_page(compared)))
    assert found.keys() == {"backbones_to_best", "backbones_by_size"}
    drawn = str(spec(found["backbones_to_best"].chart))
    assert all(backbone in drawn for backbone in TRUTH) and "worse" in drawn


def test_without_predictions_means_are_shown_and_nothing_is_told(tmp_path):
    section = backbones.section(on_page(without_predictions(with_finals(tmp_path / "s", TRUTH))))
    table = tables(section)["backbones"]
    assert {row[table.columns.index("verdict")] for row in table.rows} == {"cannot be told"}
    assert "no kept predictions" in table.note
    assert all(statement.interval is None for statement in statements(section).values())
    assert "backbones_to_best" not in charts(section)
    said = [text.text for text in statements(section).values() if text.text.startswith("Whether")]
    assert len(said) == 2 and not [text for text in said if "test_resnet and test_resnet" in text], "not beside itself"


def test_a_backbone_without_final_runs_is_named(tmp_path):
    folder = with_finals(tmp_path / "s", {"test_resnet": 0.9, "test_convnext": 0.8})
    said = statements(backbones.section(on_page(folder)))
    assert "Not compared" in said["backbones.left_out"].text and "test_efficientnet" in said["backbones.left_out"].text
    assert "backbones.test_efficientnet" not in said


def test_without_a_final_stage_the_best_trials_are_described_and_nothing_is_claimed(tmp_path):
    folder = grid(tmp_path / "s", BACKBONES, lambda sampled: TRUTH[sampled["backbone.name"]])
    section = backbones.section(on_page(folder))
    said, table = statements(section), tables(section)["backbones"]
    assert "not tested" in said["backbones.untested"].text and said["backbones.untested"].is_warning
    assert "--set search.finalists_per=backbone" in said["backbones.finals"].command
    assert len(table.rows) == 3 and all(statement.interval is None for statement in said.values())
    assert [row[1] for row in table.rows] == [2, 2, 2], "how many trials each had"


def test_a_study_of_one_backbone_says_so_and_one_without_scores_nothing(tmp_path):
    text = BACKBONES.replace("[test_resnet, test_convnext, test_efficientnet]", "[test_resnet]")
    one = backbones.section(on_page(grid(tmp_path / "one", text, lambda sampled: 0.8)))
    assert [block.text for block in one.blocks] == ["The study has one backbone, test_resnet: none is compared."]
    folder, _ = begun(tmp_path / "none", BACKBONES)
    assert backbones.section(on_page(folder)) is None
