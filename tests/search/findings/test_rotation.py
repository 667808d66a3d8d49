"""One value after the other is held out: a seed's score is over all of them, whatever it is asked for."""

import json

import numpy as np
import pytest
from scipy import stats

from lssat.errors import ConfigError
from lssat.evaluation.metrics import one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.storage.place import Place
from search.claims.estimate import estimate
from search.findings import domains, final_table, leaderboard, winner
from search.findings.by_fold import by_fold
from search.findings.roles.study_runs import StudyRuns
from search.findings.scored_runs import StageRuns, _of_block, _resampled, _score_of_draws, scored_runs
from search.findings.task_study import read_task_study
from search.page.document import Table
from search.page.sections import finalists
from search.plan.seen import _spread, measured_spread
from search.record.folder import RunFolder, Stage, Storage
from search.record.going_on import check_goes_on, check_rotates_alike
from search.record.manifest import Rotation, new_manifest, read_manifest
from search.record.names import OUTCOME
from search.record.predictions import About, KeptPredictions, write
from search.space.file import load
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines
from search.strategy.finalists import Arm, arm_and_seed, of_one_kind, over_folds, rotation_of
from tests.search.page.made import of_kind, on_page
from tests.search.records import epoch
from tests.search.records import record as record_at

VALUES = ["swap", "warp", "a b/c"]
BASE = {
    "backbone.name": "test_resnet",
    "data.image_size": 32,
    "masking.unit": 8,
    "optim.epochs": 2,
    "auxiliary": False,
    "data.hold_out": "method",
    "data.held_out": ["warp"],
}
SPACE = """
data: {{hold_out: method, held_out: [warp]}}
objective: {{over: {over}}}
space: {{optim.lr: [1e-3, 1e-4]}}
search: {{num_trials: 2, rotate: on}}
"""
SEARCH = SearchConfig(finalists=2, final_seeds=2, supervised="none", rotate=True)
SCORES = {  # by arm and seed, of each value
    ("0000", 1): (0.9, 0.5, 0.7),
    ("0000", 2): (0.9, 0.6, 0.9),
    ("0001", 1): (0.7, 0.65, 0.68),
    ("0001", 2): (0.7, 0.75, 0.7),
}


def study(path, over=None):
    """Two trials, which are the finalists."""
    folder = RunFolder(path)
    path.mkdir()
    (path / "s.yaml").write_text(SPACE.format(over=over or "null"))
    space = load(path / "s.yaml", "laptop", {}, {})
    begun = new_manifest(folder, space, {"fingerprint": "x", "folds": VALUES}, path)
    begun.begin_session(Storage(Place.of(path)), space, "x")
    for name, rate in (("0000", 1e-3), ("0001", 1e-4)):
        settings = {**BASE, "optim.lr": rate}
        record_at(folder.record(Stage.SEARCH, name).folder, settings, [epoch(2, 0.5, 2)], "complete")
    return folder


def planned(folder, search=SEARCH):
    return final_table.planned_runs(folder, leaderboard.of_folder(folder), search)


def finish(folder, runs, without=()):
    for run in runs:
        score = SCORES[run.arm.name, run.seed][run.fold.number]
        made = epoch(2, score, 2, best_in_domain=1 - score)
        made.metrics["val/in_domain"] = 1 - score
        status = "failed" if run.name in without else "complete"
        record_at(folder.record(Stage.FINAL, run.name).folder, run.suggestion.sampled, [made], status)


def test_each_arm_and_seed_runs_once_for_every_value_under_a_name_that_says_so(tmp_path):
    folder = study(tmp_path / "s")
    assert read_manifest(folder.manifest).rotation == Rotation(tuple(VALUES), "mean")
    runs = planned(folder)
    assert len({run.name for run in runs}) == len(runs) == 2 * 2 * 3
    assert runs[0].name == "0000-seed1-fold0"
    for run in runs:
        config = run.suggestion.config
        assert config.data.held_out == [VALUES[run.fold.number]] and config.seed == run.seed
        assert arm_and_seed(run.name) == (run.arm.name, run.seed)
    plain = planned(folder, SEARCH.model_copy(update={"rotate": False}))
    assert [run.name for run in plain[:2]] == ["0000-seed1", "0001-seed1"]
    assert all(run.suggestion.config.data.held_out == ["warp"] for run in plain)


@pytest.mark.parametrize(("over", "first"), [(None, "0000"), ("mean", "0000"), ("worst", "0001")])
def test_the_mean_over_values_or_the_worst_of_them_wins(tmp_path, over, first):
    folder = study(tmp_path / "s", over)
    runs = planned(folder)
    finish(folder, runs)
    table = final_table.final_table(folder, runs, leaderboard.of_folder(folder), SEARCH)
    one = np.min if over == "worst" else np.mean
    means = {arm: np.mean([one(SCORES[arm, seed]) for seed in (1, 2)]) for arm in ("0000", "0001")}
    assert {row.arm: row.mean for row in table} == {arm: pytest.approx(mean) for arm, mean in means.items()}
    assert table[0].arm == first and [row.seeds for row in table] == [2, 2]
    tests = {run.name: SCORES[run.arm.name, run.seed][run.fold.number] - 0.1 for run in runs}
    tested = final_table.with_test(table, runs, tests)
    assert [row.test for row in tested] == [pytest.approx(row.mean - 0.1) for row in table]

    chosen = winner.chosen(folder, leaderboard.of_folder(folder), runs)
    assert chosen.run == f"{first}-seed2-fold1", "of the best seed, without what the search held out"
    found = winner.of_final_stage(tested[0], chosen.run, 0.6, {}, rotation_of(runs))
    assert found.over.startswith(f"mean of 2 fresh seeds, of each the {over or 'mean'} over what is held out: swap, ")
    assert found.kept.startswith(
        f"the run without warp ({chosen.run}, 0.6000 on validation) of seed 2, the best of them"
    )
    judged = {each.name: each for each in domains.of_arms(folder, runs).judged}
    assert judged[first].held_out == pytest.approx(means[first]), "the rule that chooses is that of the table"
    assert [row.in_domain for row in table] == [pytest.approx(1 - row.mean) for row in table], "of the same runs"
    assert all(each.beside == pytest.approx(1 - each.held_out) for each in judged.values()), "also where both are worst"
    assert judged["0000"].in_domain == pytest.approx(1 - np.mean([SCORES["0000", seed] for seed in (1, 2)]))


def test_a_seed_that_lacks_a_value_counts_as_failed(tmp_path):
    folder = study(tmp_path / "s")
    runs = planned(folder)
    finish(folder, runs, without=["0000-seed2-fold1"])
    table = final_table.final_table(folder, runs, leaderboard.of_folder(folder), SEARCH)
    assert [(row.arm, row.seeds, row.failed) for row in table] == [("0001", 2, 0), ("0000", 1, 1)]
    finish(folder, runs, without=[f"0000-seed{seed}-fold1" for seed in (1, 2)])
    table = final_table.final_table(folder, runs, leaderboard.of_folder(folder), SEARCH)
    assert [row.arm for row in table] == ["0001"]


def test_a_study_goes_on_with_the_values_it_rotates_and_no_others(tmp_path):
    begun = read_manifest(study(tmp_path / "s").manifest)
    check_rotates_alike(begun, SEARCH, VALUES)
    check_rotates_alike(begun, SEARCH.model_copy(update={"rotate": False}), [])
    for values in (VALUES[:2], VALUES[::-1], []):
        with pytest.raises(ConfigError, match=r"one after the other, but its data now have .*search\.rotate=false"):
            check_rotates_alike(begun, SEARCH, values)


def test_the_spread_of_seeds_is_that_of_whole_seeds(tmp_path):
    """What values do to a score is none of it; it takes 5 degrees of freedom."""
    folder = study(tmp_path / "s")
    search = SEARCH.model_copy(update={"final_seeds": 6})
    generator = np.random.default_rng(0)
    noise = {key: generator.normal(0, 0.01) for key in [(arm, seed) for arm in ("0000", "0001") for seed in range(9)]}
    for run in planned(folder, search):
        score = (0.9, 0.5, 0.7)[run.fold.number] + noise[run.arm.name, run.seed]
        record_at(folder.record(Stage.FINAL, run.name).folder, run.suggestion.sampled, [epoch(2, score, 2)], "complete")
    begun = read_manifest(folder.manifest)
    df, sd, _ = _spread(folder, begun.rotation)
    assert df == 5 and sd < 0.02
    (folder.record(Stage.FINAL, "0000-seed1-fold1").folder / OUTCOME).unlink()
    df, sd, _ = _spread(folder, begun.rotation)
    assert df == 4 and sd < 0.02, "a seed that lacks a value is left out"
    data = begun.space.example().data
    assert measured_spread(tmp_path, data, "worst") is measured_spread(tmp_path, data, None) is None
    assert measured_spread(tmp_path, data, "mean").sd == sd


def test_a_baseline_keeps_its_rate_whatever_its_runs_held_out(tmp_path):
    folder = study(tmp_path / "s")
    sampled = {**BASE, "auxiliary": True, "aux_weight": 0.5, "optim.lr": 1e-2}
    record_at(folder.record(Stage.SEARCH, "0002").folder, sampled, [epoch(2, 0.9, 2)], "complete")
    search = SEARCH.model_copy(update={"supervised": "tuned", "finalists": 1})
    runs = planned(folder, search)
    assert [run.arm.name for run in runs[:2]] == ["0002", "0002-supervised"]
    baseline = next(run for run in runs if run.arm.name == "0002-supervised")
    rated = {**baseline.suggestion.sampled, "optim.lr": 3e-3}
    record_at(folder.record(Stage.FINAL, baseline.name).folder, rated, [epoch(2, 0.9, 2)], "complete")
    other = {**sampled, "aux_weight": 0.3}
    record_at(folder.record(Stage.SEARCH, "0003").folder, other, [epoch(2, 0.95, 2)], "complete")
    (finalist,) = final_table.planned_finalists(folder, leaderboard.of_folder(folder), search)
    kept = Baselines(folder, search).of(finalist)
    assert (finalist.name, kept.name, kept.config.optim.lr) == ("0003", "0002-supervised", 3e-3)


def answers(generator, difference, values=3, rows=240, arms=("a", "b"), seeds=4):
    """Kept predictions of a final stage. Arms differ in each value, seeds and values shift all arms alike; rows are
    hard for all, or for one arm, from every seed.
    """
    words = np.array(["", *VALUES[:values]])[np.arange(rows) % (values + 1)]
    labels = (words != "").astype(int)
    texts = RowTexts(np.array([f"row {row}" for row in range(rows)]), np.full(rows, ""), {}, words)
    hard, own = generator.uniform(-0.15, 0.15, rows), generator.uniform(-0.1, 0.1, (len(arms), rows))
    kept = {}
    for seed in range(seeds):
        for value in VALUES[:values]:
            luck = generator.normal(0, 0.02)
            for place, arm in enumerate(arms):
                chance = 0.7 + place * difference[VALUES.index(value)] + luck + generator.normal(0, 0.02)
                right = generator.random(rows) < chance + hard + own[place]
                logits = np.where(right == (labels == 1), 1.0, -1.0)[:, None].astype(np.float32)
                about = About("t", "binary", ("no", "yes"), "balanced_accuracy", "val", "f", "method", (value,))
                kept[arm, seed, value] = KeptPredictions(about, Predictions(logits, labels), texts)
    return kept


def compared(kept, over):
    """The difference of the two arms, and half of its 95% interval."""
    draws = _score_of_draws({str(key): of for key, of in kept.items()})
    blocks = {}
    for arm, seed, value in kept:
        blocks.setdefault((arm, seed), []).append(str((arm, seed, value)))
    names, seeds = zip(*blocks, strict=True)
    runs = _resampled(names, seeds, draws, [_of_block(draws, block, over) for block in blocks.values()])
    found = estimate(runs)
    half = found.standard_error[0, 1] * stats.t.ppf(0.975, found.df[0, 1])
    return found.means[1] - found.means[0], half


@pytest.mark.slow
@pytest.mark.parametrize(
    ("over", "difference", "truth"),
    [
        ("mean", (0.0, 0.0, 0.0), 0.0),
        ("mean", (0.1, -0.1, 0.0), 0.0),  # who is better depends on what is held out
        ("mean", (0.12, 0.0, 0.03), 0.05),
        ("worst", (0.0, 0.0, 0.0), 0.0),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(over, difference, truth):
    """In at least 92% of 300 studies of 8 seeds, and they are no wider than they must be: half of them would not do."""
    generator, held, held_by_less = np.random.default_rng(7), 0, 0
    for _ in range(300):
        found, half = compared(answers(generator, difference, seeds=8), over)
        held += abs(found - truth) <= half
        held_by_less += abs(found - truth) <= half / 2
    assert held >= 0.92 * 300
    assert held_by_less < 0.8 * 300


def test_runs_of_one_seed_are_one_whose_scores_are_those_of_the_slow_way(tmp_path):
    """And so they are where the predictions of all runs of the stage were read before."""
    kept, folder = answers(np.random.default_rng(1), (0.1, 0.0, 0.0)), study(tmp_path / "s")
    runs, expected = {}, {}
    for (arm, seed, value), of in kept.items():
        rows = np.isin(of.texts.values, ["", value])
        score = one_score("binary", "balanced_accuracy", *of.predictions.of(rows))
        name = f"{arm}-seed{seed}-fold{VALUES.index(value)}"
        made = record_at(
            folder.record(Stage.FINAL, name).folder,
            {**BASE, "data.held_out": [value]},
            [epoch(2, score, 2)],
            "complete",
        )
        write(made.predictions("val"), of)
        runs[name] = (arm, seed)
        expected.setdefault((arm, seed), []).append(score)
    for found in (scored_runs(folder, Stage.FINAL, runs), StageRuns(folder, Stage.FINAL).of(runs)):
        assert found.lacking == "" and found.units == 240
        blocks = zip(found.arms, found.seeds, strict=True)
        assert dict(zip(blocks, found.scores, strict=True)) == {
            block: pytest.approx(over_folds(scores, None)) for block, scores in expected.items()
        }
        assert found.covariance.shape == (8, 8)
    alone = StageRuns(folder, Stage.FINAL).of({name: (name, 0) for name in runs})
    assert len(alone.arms) == len(runs), "each by itself, where nobody asks for them together"


def test_the_same_run_twice_is_no_block_and_runs_before_rotation_are_not_mixed_with_those_after(tmp_path):
    folder = study(tmp_path / "s")
    runs = planned(folder)
    finish(folder, runs)
    before = folder.record(Stage.FINAL, "0000-seed1")
    record_at(before.folder, {**BASE, "seed": 1}, [epoch(2, 0.3, 2)], "complete")
    with pytest.raises(ValueError, match="0000 with seed 1 is there twice"):
        scored_runs(folder, Stage.FINAL, {"0000-seed1": ("0000", 1), "0000-seed1-fold1": ("0000", 1)})
    rotation = read_manifest(folder.manifest).rotation
    kept = of_one_kind(folder.records(Stage.FINAL), rotation)
    assert {record.name for record in kept} == {run.name for run in runs}
    kept = of_one_kind([record for record in kept if record.name != "0000-seed1-fold1"], rotation)
    assert {record.name for record in kept} == {run.name for run in runs if not run.name.startswith("0000-seed1")}


def test_a_study_that_rotates_no_more_is_judged_by_what_it_trained_since(tmp_path):
    """By its manifest: the runs of before are still there."""
    folder = study(tmp_path / "s")
    finish(folder, planned(folder))
    plain = SEARCH.model_copy(update={"rotate": False})
    for run in planned(folder, plain):
        record_at(folder.record(Stage.FINAL, run.name).folder, run.suggestion.sampled, [epoch(2, 0.5, 2)], "complete")
    for search, expected in ((plain, 4), (SEARCH, 12)):
        manifest = read_manifest(folder.manifest)
        manifest.begin_final_stage(search)
        begun = folder.records(Stage.FINAL)
        runs = StudyRuns(folder, manifest, folder.records(Stage.SEARCH), begun, StageRuns(folder, Stage.FINAL))
        assert len(runs.finals) == expected
        of_task = read_task_study(folder.path, "s").finals
        assert sum(map(len, of_task.values())) == expected / 2, "of the better of two trials of one backbone"


def test_what_counts_of_a_seed_is_what_the_study_says_now(tmp_path):
    """`objective.over` may change as `search.rotate` may: the runs are the same."""
    folder = study(tmp_path / "s")
    runs = planned(folder)
    finish(folder, runs)
    worst = load(tmp_path / "s" / "s.yaml", "laptop", {"objective.over": "worst"}, {})
    manifest = read_manifest(folder.manifest)
    check_goes_on(manifest, worst, "x")
    manifest.begin_session(Storage(Place.of(folder.path)), worst, "x")
    again = planned(folder)
    assert [run.name for run in again] == [run.name for run in runs]
    assert Arm("0002", {**BASE, "objective.over": "worst"}).identity == Arm("0002", BASE).identity
    table = final_table.final_table(folder, again, leaderboard.of_folder(folder), SEARCH)
    assert table[0].arm == "0001" and table[0].mean == pytest.approx(np.mean([0.65, 0.70]))


def test_values_to_rotate_must_be_on_record(tmp_path):
    folder = study(tmp_path / "s")
    content = json.loads(folder.manifest.read_text())
    del content["data"]["folds"]
    folder.manifest.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"names none as `folds`.*`--name`"):
        planned(folder)
    folder.manifest.write_text("{")
    for read in (planned, leaderboard.of_folder):
        with pytest.raises(ConfigError, match="no manifest of a study"):
            read(folder)


def test_scores_are_shown_by_what_was_held_out(tmp_path):
    folder = study(tmp_path / "s")
    runs = planned(folder)
    finish(folder, runs, without=["0000-seed2-fold1"])
    table = final_table.final_table(folder, runs, leaderboard.of_folder(folder), SEARCH)
    found = by_fold(folder, runs, table)
    assert found.columns == ["arm", "backbone", "seeds", *(f"without {value}" for value in VALUES)]
    assert found.cells == [
        ["0001", "test_resnet", "2", "0.7000", "0.7000", "0.6900"],
        ["0000", "test_resnet", "2, 1, 2", "0.9000", "0.5000", "0.8000"],
    ]
    final_table.write(table, [], folder, found.markdown)
    page = folder.final_page.read_text()
    assert "| 0000 | test_resnet | 2, 1, 2 | 0.9000 | 0.5000 | 0.8000 |" in page and "| in domain |" in page
    read_manifest(folder.manifest).begin_final_stage(SEARCH)
    tables = of_kind(finalists.section(on_page(folder)), Table)
    assert tables["finalists_by_fold"].columns[-3:] == found.columns[-3:]
    assert [row[-3] for row in tables["finalists_by_fold"].rows] == pytest.approx([0.7, 0.9])
    assert tables["finalists"].rows[0][tables["finalists"].columns.index("in domain")] == pytest.approx(
        table[0].in_domain
    )
    plain = planned(folder, SEARCH.model_copy(update={"rotate": False}))
    assert by_fold(folder, plain, table) is None


def test_arms_are_compared_over_the_same_held_out_values_only(tmp_path):
    """As many are not enough: where runs are missing, two arms may have finished others."""
    folder = study(tmp_path / "s")
    asked = {}
    for arm, seed, values in (("a", 1, "xy"), ("a", 2, "xy"), ("b", 1, "xz"), ("b", 2, "xy"), ("c", 1, "x")):
        for number, value in enumerate(values):
            name = f"{arm}-seed{seed}-fold{number}"
            place = folder.record(Stage.FINAL, name).folder
            record_at(place, {**BASE, "seed": seed, "data.held_out": [value]}, [epoch(2, 0.5, 2)], "complete")
            asked[name] = (arm, seed)
    found = scored_runs(folder, Stage.FINAL, asked)
    assert list(zip(found.arms, found.seeds, strict=True)) == [("a", 1), ("a", 2), ("b", 2)]
