"""Which role each setting plays: of a grid the shares of search.claims, of a search a description, or why neither."""

import json
import math

import optuna
import pytest

from search.claims.importance import Role
from search.findings.roles.page import roles
from search.findings.roles.settings import settings_of
from search.page.charts import spec
from search.page.sections.questions import settings
from search.record.folder import Stage
from search.strategy.searcher import open_study
from tests.search.page.questions.planted import (
    TEXTURES,
    begun,
    charts,
    grid,
    on_page,
    statements,
    tables,
    without_predictions,
)
from tests.search.records import epoch, record

SEARCH = """
fixed: {data.image_size: 64}
space:
  backbone.family: [vit, resnet]
  backbone.patch_size: {choices: [8, 16], when: {backbone.family: [vit]}}
  optim.lr: [1.0e-3, 2.0e-3]
  aux_weight: {low: 0.1, high: 0.9}
search: {sampler: random, num_trials: 40}
"""
optuna.logging.set_verbosity(optuna.logging.WARNING)


def by_backbone(sampled):
    return 0.9 if sampled["backbone.name"] == "test_resnet" else 0.6


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A grid in which the backbone matters."""
    return grid(tmp_path_factory.mktemp("settings") / "s", TEXTURES, by_backbone)


def searched(path, ended=lambda sampled: "complete"):
    """A search of 30 trials, in which the ViT is better."""
    folder, space = begun(path, SEARCH)
    study = open_study(folder.study_db, "search", space)
    for number in range(30):
        trial = study.ask()
        sampled = space.sample(trial)
        score = 0.5 + 0.3 * (sampled["backbone.family"] == "vit") + 0.01 * sampled["aux_weight"]
        record(folder.path / Stage.SEARCH / f"{number:04d}", sampled, [epoch(1, score, epochs=1)], ended(sampled))
        if ended(sampled) == "complete":
            study.tell(trial, score)
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return folder


def test_shares_intervals_and_roles_are_those_of_the_claims(compared):
    study = on_page(compared)
    section, shares = settings.section(study), settings_of(study.finished).found.shares
    said, table = statements(section), tables(section)["settings"]
    for share, row in zip(shares, table.rows, strict=False):
        bounds = [None if math.isnan(number) else number for number in (share.share, share.low, share.high)]
        assert row[:4] == [share.factor, *bounds]
    matters = [share for share in shares if share.role is Role.MATTERS]
    assert [share.factor for share in matters] == ["backbone.name"]
    assert said["settings.backbone.name"].text.startswith("backbone.name matters: it makes ")
    assert said["settings.backbone.name"].interval == (matters[0].low, matters[0].high)
    assert table.rows[-1][0] == "training anew (the floor)"


def test_the_page_and_the_command_say_the_same(compared):
    printed = roles(compared)
    for statement in statements(settings.section(on_page(compared))).values():
        assert statement.text in printed


def test_a_setting_that_matters_stands_out_in_the_chart(compared):
    drawn = spec(charts(settings.section(on_page(compared)))["settings_shares"].chart)
    rows = (
        [row for data in drawn["datasets"].values() for row in data] if "datasets" in drawn else drawn["data"]["values"]
    )
    assert {row["name"]: row["word"] for row in rows}["backbone.name"] == "matters"
    json.dumps(drawn, allow_nan=False)


def test_without_predictions_shares_are_shown_without_intervals(tmp_path):
    folder = without_predictions(grid(tmp_path / "s", TEXTURES, by_backbone))
    section = settings.section(on_page(folder))
    said = statements(section)
    assert "no kept predictions" in said["settings.untold"].text
    assert all(row[2] is None for row in tables(section)["settings"].rows)
    assert all(statement.interval is None for statement in said.values())


def test_a_search_is_described_without_intervals_of_confidence(tmp_path):
    section = settings.section(on_page(searched(tmp_path / "s")))
    said, table = statements(section), tables(section)["settings"]
    assert "no test" in said["settings.description"].text
    assert all(statement.interval is None for statement in said.values())
    assert f"settings.{table.rows[0][0]}" in said, "the setting in which the best differ most"
    assert {row[0] for row in table.rows} == {"backbone.family", "backbone.patch_size", "optim.lr", "aux_weight"}
    assert "settings_importance" in charts(section)


def test_what_stopped_trials_varied_is_not_called_confounded(tmp_path):
    """The scheduler stopped all of a backbone: among the complete trials it never varies, among the ranked it does."""
    folder = searched(tmp_path / "s", lambda sampled: "complete" if sampled["backbone.family"] == "vit" else "stopped")
    found = settings_of(on_page(folder).finished)
    assert not found.confounded and not found.constant


def test_a_study_that_tells_nothing_yet_says_why_in_a_sentence(tmp_path):
    folder, space = begun(tmp_path / "none", SEARCH)
    [block] = settings.section(on_page(folder)).blocks
    assert block.text == (
        "Nothing can be said of the settings: no trial has its full budget; let the study go on with `--resume`."
    )
    sampled = space.sample(optuna.create_study().ask())
    record(folder.path / Stage.SEARCH / "0000", sampled, [epoch(1, 0.5, epochs=1)], "complete")
    [block] = settings.section(on_page(folder)).blocks
    assert block.text == "Nothing can be said of the settings: study.db is not there; restore it."
