"""Ranking is pure: records in, rows out."""

import csv

import pytest

from search.findings import leaderboard
from search.record.folder import RunFolder, Stage
from tests.search.records import epoch, record


def trial(folder, number, scores, status=None, parameters=5, **settings):
    sampled = {"backbone.family": "resnet", "backbone.size": "atto", "optim.epochs": 4, **settings}
    results = [epoch(at, max(scores[:at]), score=score, parameters=parameters) for at, score in enumerate(scores, 1)]
    path = folder / "trials" / f"{number:04d}"
    record(path, sampled, results, status, "ValueError: x" if status == "failed" else "")


def ranked(path, objectives=("score",)):
    return leaderboard.rank(RunFolder(path).records(Stage.SEARCH), objectives)


@pytest.fixture
def folder(tmp_path):
    trial(tmp_path, 0, [0.5, 0.6, 0.55, 0.7], "complete")
    trial(tmp_path, 1, [0.95], "stopped")
    trial(tmp_path, 2, [0.5, 0.9, 0.8, 0.8], "complete")
    trial(tmp_path, 3, [], "failed")
    trial(tmp_path, 4, [0.3, 0.4], "stopped")
    trial(tmp_path, 5, [0.99])
    return tmp_path


def test_full_budget_first_then_longest(folder):
    rows = ranked(folder)
    assert [(row.rank, row.trial, row.status) for row in rows] == [
        (1, "0002", "complete"),
        (2, "0000", "complete"),
        (3, "0004", "stopped"),
        (4, "0001", "stopped"),
        (5, "0005", "running"),
        (6, "0003", "failed"),
    ]
    assert leaderboard.winner(rows).trial == "0002"
    assert rows[0].score == 0.9


def test_an_early_star_cannot_win(tmp_path):
    trial(tmp_path, 0, [0.95], "stopped")
    assert leaderboard.winner(ranked(tmp_path)) is None


def test_the_test_score_does_not_change_the_order(folder):
    rows = leaderboard.with_test(ranked(folder), {"0002": 0.1})
    assert [row.trial for row in rows][:2] == ["0002", "0000"]
    assert [row.test for row in rows[:2]] == [0.1, None]


def test_where_the_first_weights_came_from_is_in_every_row(tmp_path):
    for number, pretrained in enumerate([False, True, "/w/lite0.safetensors", "/w/many/"]):
        trial(tmp_path, number, [0.5], "complete", **{"backbone.pretrained": pretrained})
    leaderboard.write(ranked(tmp_path), RunFolder(tmp_path))
    with (tmp_path / "leaderboard.csv").open() as file:
        assert [line["pretrained"] for line in csv.DictReader(file)] == ["no", "hub", "lite0.safetensors", "many/"]
    assert "| pretrained |" in (tmp_path / "leaderboard.md").read_text()


def test_the_share_that_learns_is_in_every_row_that_has_it(tmp_path):
    """An older version did not count it."""
    for number, learning in enumerate([None, 5, 2, 0]):
        path = tmp_path / "trials" / f"{number:04d}"
        record(path, {"optim.epochs": 1}, [epoch(1, 0.5, parameters=5, learning=learning)], "complete")
    assert [row.learning for row in ranked(tmp_path)] == [None, 1.0, 0.4, 0.0]
    leaderboard.write(ranked(tmp_path), RunFolder(tmp_path))
    with (tmp_path / "leaderboard.csv").open() as file:
        assert [line["learning"] for line in csv.DictReader(file)] == ["", "1.0", "0.4", "0.0"]


def test_files(folder):
    rows = ranked(folder)
    leaderboard.write(rows, RunFolder(folder))
    with (folder / "leaderboard.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [line["trial"] for line in read] == [row.trial for row in rows]
    assert read[-1]["reason"] == "ValueError: x"
    markdown = (folder / "leaderboard.md").read_text().splitlines()
    assert len(markdown) == 2 + len(rows)
    assert all(line.count("|") == markdown[0].count("|") for line in markdown)


@pytest.mark.parametrize(
    ("settings", "encoding", "ratio"),
    [
        ({}, "scaled", "auto"),
        (
            {"target.encoding": "histogram", "texture.ldp_signed": True, "target.rgb_weight": 0.3},
            "histogram signed + 0.3 RGB",
            "auto",
        ),
        (
            {
                "streams": "MRGB/RLBP/CRGB",
                "texture.lbp_method": "uniform",
                "texture.lbp_points": 16,
                "texture.lbp_radius": 2.0,
            },
            "scaled uniform P16 R2",
            "auto",
        ),
        ({"streams": "MRGB/RLBP/CRGB", "texture.ldp_signed": True, "target.norm_pix": True}, "scaled norm_pix", "auto"),
        ({"masking.mode": "sparse", "masking.ratio": 0.5}, "scaled", "0.50 sparse"),
        ({"masking.share": 0.5}, "scaled", "auto of 0.5 of rows"),
        ({"masking.mode": "sparse", "masking.share": 0.25}, "scaled", "auto sparse of 0.25 of rows"),
        ({"auxiliary": False, "texture.ldp_signed": True}, "-", "-"),
    ],
)
def test_variants_of_texture_and_masking_have_names(tmp_path, settings, encoding, ratio):
    trial(tmp_path, 0, [0.5], "complete", **settings)
    row = ranked(tmp_path)[0]
    assert (row.encoding, row.mask_ratio) == (encoding, ratio)


def test_the_front_of_several_objectives_comes_first(tmp_path):
    for number, (score, parameters) in enumerate([(0.9, 9), (0.7, 3), (0.8, 9), (0.6, 4), (0.5, 1)]):
        trial(tmp_path, number, [score] * 4, "complete", parameters)
    rows = ranked(tmp_path, ["score", "parameters"])
    assert [(row.trial, row.pareto) for row in rows] == [
        ("0000", True),
        ("0001", True),
        ("0004", True),
        ("0002", False),
        ("0003", False),
    ]
    assert leaderboard.winner(rows).trial == "0000"
