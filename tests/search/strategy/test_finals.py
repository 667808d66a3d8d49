"""The final stage: who is in it, and what is said of it."""

import json

import pytest

from lssat.config import build
from lssat.files import write_json, write_lines
from search.report import leaderboard
from search.space.settings import SearchConfig
from search.strategy import finalists as finals

BASE = {"backbone.name": "test_resnet", "data.image_size": 32, "masking.unit": 8, "optim.epochs": 2}


def record(folder, stage, name, score, status="complete", **settings):
    sampled = {**BASE, **settings}
    write_json(
        folder / stage / name / "config.json",
        {"sampled": sampled, "resolved": build(sampled).flat(), "hash": build(sampled).hash()},
    )
    lines = [
        {"epoch": e, "epochs": 2, "val/score": score, "val/best": score, "train/images_per_s": 9.0, "parameters": 5}
        for e in (1, 2)
    ]
    write_lines(folder / stage / name / "metrics.jsonl", lines)
    write_json(folder / stage / name / "outcome.json", {"status": status, "reason": "", "seconds": 1})


@pytest.fixture
def folder(tmp_path):
    record(tmp_path, "trials", "0000", 0.5, aux_weight=0.5)
    record(tmp_path, "trials", "0001", 0.9, aux_weight=0.3, streams="MRGB/RLBP/CRGB", **{"target.encoding": "bits"})
    record(
        tmp_path, "trials", "0002", 0.9, aux_weight=0.3, streams="MRGB/RLBP/CRGB", **{"target.encoding": "bits"}
    )  # the same again
    record(tmp_path, "trials", "0003", 0.8, auxiliary=False, **{"optim.lr": 1e-4})
    record(tmp_path, "trials", "0004", 0.99, status="stopped")
    return tmp_path


def planned(folder, **search):
    return finals.plan(leaderboard.rank(folder), folder, SearchConfig(**search))


def test_the_best_different_ones_and_their_twins_with_fresh_seeds(folder):
    runs = planned(folder, finalists=3, final_seeds=2)
    assert [run.name for run in runs] == [
        f"{arm}-seed{seed}" for seed in (1, 2) for arm in ("0001", "0001-supervised", "0003", "0000")
    ]  # 0003 is supervised itself; the twin of 0000 is that of 0001  # fmt: skip
    for run in runs:
        config = build(run.sampled)
        assert config.seed == run.seed
        assert config.trains_auxiliary == (run.arm in ("0000", "0001"))
        assert config.masking.unit == 8
    assert planned(folder, finalists=0) == []


def test_a_twin_keeps_the_classified_stream():
    twin = build(
        finals.supervised(
            {**BASE, "streams": "MRGB/RRGB/CLDP", "target.encoding": "scaled", "aux_weight": 0.3, "decoder.dim": 128}
        )
    )
    assert (twin.streams, twin.auxiliary, twin.decoder.dim, twin.backbone.name) == (
        "MRGB/RRGB/CLDP",
        False,
        64,
        "test_resnet",
    )


def finish(folder, runs, scores):
    for run in runs:
        score = scores[run.arm][run.seed - 1]
        if score is not None:
            record(
                folder,
                "finals",
                run.name,
                score,
                **{key: value for key, value in run.sampled.items() if key not in BASE},
            )


def test_the_winner_is_the_best_mean_and_ties_are_called_ties(folder):
    runs = planned(folder, finalists=3, final_seeds=3)
    finish(
        folder,
        runs,
        {
            "0001": [0.80, 0.82, 0.84],
            "0001-supervised": [0.81, 0.81, 0.83],
            "0003": [0.70, 0.72, 0.75],
            "0000": [0.90, 0.95, None],
        },
    )
    table = finals.standings(runs, folder)
    assert [(line.arm, line.verdict) for line in table] == [
        ("0001", "winner"),
        ("0001-supervised", "tie"),
        ("0003", "worse"),
        ("0000", "tie"),
    ]
    assert table[0].mean == pytest.approx(0.82)
    assert table[0].half == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-4), "Student's t of two degrees of freedom"
    assert table[0].over_supervised == pytest.approx((-0.01 + 0.01 + 0.01) / 3)
    assert table[2].difference == pytest.approx(-0.29 / 3)
    assert (table[3].failed, table[3].seeds) == (1, 2), "with a failed seed it cannot win"
    assert [line.arm for line in finals.tied(table)] == ["0001-supervised"]


def test_the_twin_of_another_finalist_serves(folder):
    runs = planned(folder, finalists=3, final_seeds=2)
    finish(folder, runs, {"0001": [0.8, 0.8], "0001-supervised": [0.7, 0.6], "0003": [0.5, 0.5], "0000": [0.75, 0.65]})
    line = next(line for line in finals.standings(runs, folder) if line.arm == "0000")
    assert line.over_supervised == pytest.approx(0.05)


def test_test_scores_do_not_rank(folder):
    runs = planned(folder, finalists=1, final_seeds=2)
    finish(folder, runs, {"0001": [0.8, 0.9], "0001-supervised": [0.7, 0.6]})
    table = finals.standings(runs, folder)
    tested = finals.with_test(table, runs, {run.name: 0.1 if run.arm == "0001" else 0.9 for run in runs})
    assert [line.arm for line in tested] == [line.arm for line in table]
    assert [line.test for line in tested] == [pytest.approx(0.1), pytest.approx(0.9)]
    finals.write(tested, folder)
    assert "| 0001 |" in (folder / "finals.md").read_text()
    assert json.dumps((folder / "finals.csv").read_text()).count("supervised") >= 1


def test_nobody_finished(folder):
    assert finals.standings(planned(folder, finalists=2), folder) == []
