"""The final stage: who is in it, and what is said of it."""

import csv

import pytest

from lssat.settings.texture import TextureConfig
from search.claims.words import Word
from search.findings import final_table, leaderboard
from search.findings.told import Rule
from search.record.folder import RunFolder, Stage
from search.space.settings import SearchConfig
from search.strategy.finalists import Arm
from tests.search import final_stage
from tests.search.records import epoch
from tests.search.records import record as record_at

BASE = {"backbone.name": "test_resnet", "data.image_size": 32, "masking.unit": 8, "optim.epochs": 2}


def record(folder, stage, name, score, status="complete", **settings):
    results = [epoch(at, score, 2) for at in (1, 2)]
    record_at(folder.record(stage, name).folder, {**BASE, **settings}, results, status)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    bits = {"aux_weight": 0.3, "streams": "MRGB/RLBP/CRGB", "target.encoding": "bits"}
    record(folder, Stage.SEARCH, "0000", 0.5, aux_weight=0.5)
    record(folder, Stage.SEARCH, "0001", 0.9, **bits)
    record(folder, Stage.SEARCH, "0002", 0.9, **bits)  # the same again
    record(folder, Stage.SEARCH, "0003", 0.8, auxiliary=False, **{"optim.lr": 1e-4})
    record(folder, Stage.SEARCH, "0004", 0.99, status="stopped")
    return folder


def planned(folder, **search):
    return final_table.planned_runs(folder, leaderboard.of_folder(folder), SearchConfig(**search))


def test_the_best_different_ones_and_their_supervised_baselines_with_fresh_seeds(folder):
    runs = planned(folder, finalists=3, final_seeds=2)
    assert [run.name for run in runs] == [
        f"{arm}-seed{seed}" for seed in (1, 2) for arm in ("0001", "0000", "0001-supervised", "0003")
    ]  # 0003 is supervised itself; the baseline of 0000 is that of 0001  # fmt: skip
    for run in runs:
        config = run.suggestion.config
        assert config.seed == run.seed
        assert config.trains_auxiliary == (run.arm.name in ("0000", "0001"))
        assert config.masking.unit == 8
    assert planned(folder, finalists=0) == []


@pytest.fixture
def of_two_backbones(tmp_path):
    folder = RunFolder(tmp_path / "two")
    for number, (backbone, score) in enumerate([("test_resnet", 0.9), ("test_resnet", 0.8), ("test_vit", 0.3)]):
        rates = {"optim.lr": (number + 1) * 1e-4}
        record(folder, Stage.SEARCH, f"{number:04d}", score, **{"backbone.name": backbone, **rates})
    return folder


@pytest.mark.parametrize(("finalists", "arms"), [(1, ["0000", "0002"]), (2, ["0000", "0001", "0002"]), (0, [])])
def test_the_best_of_each_backbone_are_finalists_where_they_are_wanted(of_two_backbones, finalists, arms):
    runs = planned(of_two_backbones, finalists=finalists, finalists_per="backbone", supervised="none", final_seeds=2)
    assert [run.name for run in runs] == [f"{arm}-seed{seed}" for seed in (1, 2) for arm in arms]


def test_the_best_of_each_backbone_have_their_baselines_where_nobody_leaves_them_out(of_two_backbones):
    runs = planned(of_two_backbones, finalists=1, finalists_per="backbone", final_seeds=2)
    assert [run.arm.name for run in runs[:4]] == ["0000", "0002", "0000-supervised", "0002-supervised"]
    table = [run.arm.name for run in planned(of_two_backbones, finalists=2, supervised="none", final_seeds=2)]
    assert table == ["0000", "0001"] * 2


def test_a_supervised_baseline_keeps_the_classified_stream_and_nothing_of_the_auxiliary_task():
    auxiliary = {"streams": "MRGB/RRGB/CLDP", "target.encoding": "scaled", "aux_weight": 0.3, "decoder.dim": 128}
    baseline = Arm("0007", {**BASE, **auxiliary}).baseline
    config = baseline.config
    assert (baseline.name, baseline.trial) == ("0007-supervised-CLDP", "0007")
    assert (config.streams, config.auxiliary, config.decoder.dim) == ("MRGB/RRGB/CLDP", False, 64)
    assert config.backbone.name == "test_resnet"
    assert baseline.baseline.identity == baseline.identity


TEXTURES = {
    "texture.lbp_points": 16,
    "texture.lbp_radius": 2.0,
    "texture.lbp_method": "uniform",
    "texture.ldp_k": 4,
    "texture.ldp_signed": True,
}


@pytest.mark.parametrize(
    ("classified", "kept"),
    [("RGB", ()), ("LBP", ("lbp_points", "lbp_radius", "lbp_method")), ("LDP", ("ldp_k", "ldp_signed"))],
)
@pytest.mark.parametrize("rebuilt", ["RGB", "LBP", "LDP"])
def test_a_supervised_baseline_sees_the_texture_that_its_finalist_classifies(classified, rebuilt, kept):
    """Else what the auxiliary task brought would be confounded with what another texture brings."""
    finalist = Arm("0007", {**BASE, **TEXTURES, "streams": f"MLDP/R{rebuilt}/C{classified}"})
    texture, usual = finalist.baseline.config.texture.model_dump(), TextureConfig().model_dump()
    searched = {key.removeprefix("texture."): value for key, value in TEXTURES.items()}
    assert texture == {**usual, **{name: searched[name] for name in kept}}


def test_finalists_whose_textures_the_classified_stream_does_not_show_share_a_supervised_baseline():
    arms = [Arm(str(points), {**BASE, "streams": "MRGB/RLBP/CRGB", "texture.lbp_points": points}) for points in (8, 16)]
    assert arms[0].identity != arms[1].identity
    assert arms[0].baseline.identity == arms[1].baseline.identity


def finish(folder, runs, scores):
    for run in runs:
        score = scores[run.arm.name][run.seed - 1]
        if score is not None:
            settings = {key: value for key, value in run.suggestion.sampled.items() if key not in BASE}
            record(folder, Stage.FINAL, run.name, score, **settings)


def told(folder, runs, **search):
    return final_table.final_table(folder, runs, leaderboard.of_folder(folder), SearchConfig(**search))


SCORES = {
    "0001": [0.80, 0.82, 0.84],
    "0001-supervised": [0.81, 0.81, 0.83],
    "0003": [0.70, 0.72, 0.75],
    "0000": [0.90, 0.95, None],
}


def test_the_winner_is_the_best_mean_of_the_arms_with_every_seed(folder):
    runs = planned(folder, finalists=3, final_seeds=3)
    finish(folder, runs, SCORES)
    table = told(folder, runs)
    assert [(row.arm, row.seeds, row.failed) for row in table] == [
        ("0001", 3, 0),
        ("0001-supervised", 3, 0),
        ("0003", 3, 0),
        ("0000", 2, 1),
    ]
    assert [row.mean for row in table[:3]] == pytest.approx([0.82, 2.45 / 3, 2.17 / 3])
    assert table[0].supervised.difference == pytest.approx((-0.01 + 0.01 + 0.01) / 3)
    assert [row.best.claim.beside for row in table] == ["0000"] * 4, "it cannot win, and may still be the best"
    assert table[2].best.difference == pytest.approx(table[2].mean - table[3].mean)


def test_an_arm_with_a_failed_run_has_the_mean_that_the_seeds_of_the_others_tell_and_a_word():
    """The seed that it lacks is better by 0.1 for all others."""
    scores = {"0001": [0.70, 0.72, 0.81], "0002": [0.61, 0.60, 0.70], "0003": [0.50, 0.51, None]}
    table = final_stage.table(scores)
    rows = {row.arm: row for row in table}
    assert rows["0003"].mean == pytest.approx(0.505 + (0.81 + 0.70) / 6 - (0.70 + 0.72 + 0.61 + 0.60) / 12, abs=1e-9)
    assert [rows[arm].best.claim.word for arm in scores] == [Word.BEST, Word.WORSE, Word.WORSE]


def test_of_equal_means_the_first_of_the_alphabet_wins_and_no_last_bit_decides(folder):
    runs = planned(folder, finalists=3, final_seeds=3)
    scores = {"0001": [0.1, 0.2, 0.3], "0001-supervised": [0.3, 0.2, 0.1], "0003": [0.2] * 3, "0000": [0.2] * 3}
    finish(folder, runs, scores)
    assert final_table.winning_arm(runs, final_table.complete_runs(folder, runs)) == "0000"
    assert told(folder, runs)[0].arm == "0000"


def test_without_predictions_there_are_means_and_differences_and_it_is_said_why_no_more(folder):
    runs = planned(folder, finalists=3, final_seeds=3)
    finish(folder, runs, SCORES)
    for row in told(folder, runs):
        assert row.best.claim.word is Word.UNTOLD
        assert row.best.half is None
        assert "predictions" in row.best.to_tell


def test_all_trials_with_a_score_are_candidates_and_the_margin_is_the_setting(folder):
    """The scheduler stopped the others by their scores on the same validation set."""
    runs = planned(folder, finalists=3, final_seeds=2)
    finish(folder, runs, {"0001": [0.8, 0.8], "0001-supervised": [0.7, 0.6], "0003": [0.5, 0.5], "0000": [0.75, 0.65]})
    rule = told(folder, runs, margin=0.02)[0].best.rule
    assert (rule.candidates, rule.margin) == (5, 0.02)


def test_the_baseline_of_another_finalist_serves(folder):
    runs = planned(folder, finalists=3, final_seeds=2)
    finish(folder, runs, {"0001": [0.8, 0.8], "0001-supervised": [0.7, 0.6], "0003": [0.5, 0.5], "0000": [0.75, 0.65]})
    rows = {row.arm: row for row in told(folder, runs)}
    assert rows["0000"].supervised.difference == pytest.approx(0.05)
    assert rows["0001-supervised"].supervised is None


def test_test_scores_do_not_rank(folder):
    runs = planned(folder, finalists=1, final_seeds=2)
    finish(folder, runs, {"0001": [0.8, 0.9], "0001-supervised": [0.7, 0.6]})
    table = told(folder, runs)
    tested = final_table.with_test(table, runs, {run.name: 0.1 if run.arm.name == "0001" else 0.9 for run in runs})
    assert [row.arm for row in tested] == [row.arm for row in table]
    assert [row.test for row in tested] == [pytest.approx(0.1), pytest.approx(0.9)]


def test_the_files_have_what_the_claims_say(folder):
    table = final_stage.table(final_stage.CLOSE, Rule(0.01, 4, 600.0))
    final_table.write(table, ["  0001 may be the best"], folder)
    page = folder.final_page.read_text()
    assert page.endswith("\n\n- 0001 may be the best\n")
    with folder.final_table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(final_table.CSV_COLUMNS)
    for line, row in zip(lines, table, strict=True):
        assert (line["arm"], line["verdict"], line["to_tell"]) == (row.arm, row.best.claim.word, row.best.to_tell)
        assert line["difference"] == ("" if row.best.difference is None else str(row.best.difference))
        assert line["auxiliary"] == (row.supervised.claim.word if row.supervised else "")
        assert f"| {row.best.to_tell} |" in page


def test_nobody_finished(folder):
    assert told(folder, planned(folder, finalists=2)) == []
