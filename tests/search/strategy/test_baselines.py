"""Learning rates of supervised baselines: how many are tried, which, and whose is the best."""

import math

import pytest

from search.findings import final_table, leaderboard
from search.record.folder import RunFolder, Stage
from search.space import file as space_file
from search.space.definition import Parameter
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines, more_rates, num_rates
from search.strategy.finalists import Arm
from tests.search.records import epoch
from tests.search.records import record as record_at

BASE = {"backbone.name": "test_resnet", "data.image_size": 32, "masking.unit": 8, "optim.epochs": 2, "optim.lr": 0.01}
SEARCH = SearchConfig(finalists=2, final_seeds=2)
RANGE = "optim.lr: {low: 1.0e-3, high: 1.0e-1, log: on}"


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "study")


def record(folder, stage, name, score, status="complete", **settings):
    record_at(folder.record(stage, name).folder, {**BASE, **settings}, [epoch(2, score, 2)], status)


def searched(folder, name, score, status="complete", **settings):
    dotted = {key if key == "aux_weight" else key.replace("_", ".", 1): value for key, value in settings.items()}
    record(folder, Stage.SEARCH, name, score, status, **dotted)


def space(tmp_path, rates=RANGE, also=""):
    path = tmp_path / "s.yaml"
    path.write_text(f"fixed: {{backbone.name: test_resnet}}\nspace: {{aux_weight: [0.1, 0.5], {rates}}}\n{also}")
    return space_file.load(path, "laptop", {}, {})


def finalists(folder, search=SEARCH):
    return final_table.planned_finalists(folder, leaderboard.of_folder(folder), search)


def to_train(folder, wanted, search=SEARCH):
    return Baselines(folder, search).runs(finalists(folder, search), wanted)


def rates(runs):
    return [run.config.optim.lr for run in runs]


def finish(folder, runs, scores, stage=Stage.BASELINE):
    for run, score in zip(runs, scores, strict=True):
        settings = {key: value for key, value in run.sampled.items() if key not in BASE or key == "optim.lr"}
        record(folder, stage, run.name, score, **settings)


def arms(folder, search=SEARCH):
    runs = final_table.planned_runs(folder, leaderboard.of_folder(folder), search)
    return {run.arm.name: run.arm for run in runs}


def test_a_baseline_is_tried_as_often_as_its_backbone_was_complete(folder, tmp_path):
    for number in range(5):
        searched(folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10)
    searched(folder, "0005", 0.99, "stopped")
    searched(folder, "0006", 0.5, backbone_name="test_vit2")
    runs = to_train(folder, space(tmp_path))
    assert len(runs) == 5, "two finalists of one recipe share it"
    assert runs[0].name == "0000-supervised-lr0.01" and rates(runs)[0] == 0.01, "the finalist's own rate comes first"
    assert all(not run.config.auxiliary and run.config.seed == 0 for run in runs)
    parts = sorted(math.floor(5 * math.log(rate / 1e-3) / math.log(100)) for rate in rates(runs)[1:])
    assert len(set(parts)) == 4, "the others lie in different parts of the range"


def test_one_complete_trial_of_a_backbone_leaves_nothing_to_try(folder, tmp_path):
    searched(folder, "0000", 0.9)
    searched(folder, "0001", 0.8, backbone_name="test_vit2")
    wanted = space(tmp_path)
    assert to_train(folder, wanted) == []
    assert arms(folder)["0000-supervised"].config.optim.lr == 0.01
    lines = Baselines(folder, SEARCH).lines(finalists(folder), wanted)
    assert lines[0].startswith("baseline of 0000: learning rate 0.01, its own: one complete trial of the")


def test_the_best_rate_on_validation_is_the_baselines_and_the_table_knows_whose_it_is(folder, tmp_path):
    for number in range(3):
        searched(folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10)
    wanted = space(tmp_path)
    runs = to_train(folder, wanted)
    finish(folder, runs, [0.5, 0.7, 0.6])
    found = arms(folder)
    assert list(found) == ["0000", "0001", "0000-supervised"], "that which is over soonest comes last"
    assert found["0000-supervised"].config.optim.lr == rates(runs)[1] != 0.01
    assert {name: arm.supervised for name, arm in found.items()} == dict.fromkeys(found, "0000-supervised")
    lines = Baselines(folder, SEARCH).lines(finalists(folder), wanted)
    assert lines[0].endswith(f"{rates(runs)[1]:.3g}, the best of 3 on validation (its own: 0.01)")
    rows = leaderboard.of_folder(folder)
    final = final_table.planned_runs(folder, rows, SEARCH)
    finish(
        folder,
        [run.suggestion for run in final],
        [0.8 if run.arm.name == "0001" else 0.6 for run in final],
        Stage.FINAL,
    )
    table = final_table.final_table(folder, final, rows, SEARCH)
    over = {row.arm: row.supervised and row.supervised.difference for row in table}
    assert over == {"0001": pytest.approx(0.2), "0000": pytest.approx(0.0), "0000-supervised": None}


def test_supervised_trials_of_the_search_count_and_those_of_another_recipe_do_not(folder, tmp_path):
    searched(folder, "0000", 0.9, aux_weight=0.5)
    searched(folder, "0001", 0.7, auxiliary=False, optim_lr=0.02)
    searched(folder, "0002", 0.8, auxiliary=False, optim_lr=0.03, optim_weight_decay=0.2)
    search = SEARCH.model_copy(update={"finalists": 1})
    runs = to_train(folder, space(tmp_path), search)
    assert len(runs) == 2, "three trials are complete, one of which is of this baseline"
    finish(folder, runs, [0.6, 0.65])
    assert arms(folder, search)["0000-supervised"].config.optim.lr == 0.02


def test_a_supervised_finalist_is_its_own_baseline_and_may_be_that_of_another(folder, tmp_path):
    searched(folder, "0000", 0.9, auxiliary=False, optim_lr=0.02)
    searched(folder, "0001", 0.8, aux_weight=0.5)
    runs = to_train(folder, space(tmp_path))
    assert rates(runs) == [0.01]
    finish(folder, runs, [0.1])
    assert {name: arm.supervised for name, arm in arms(folder).items()} == {"0000": "0000", "0001": "0000"}


def test_what_is_not_searched_or_not_wanted_is_inherited_and_that_is_said(folder, tmp_path):
    for number in range(3):
        searched(folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10)
    inherited = SEARCH.model_copy(update={"supervised": "inherited"})
    for search, rate in ((SEARCH, "optim.weight_decay: [0.1, 0.2]"), (inherited, RANGE)):
        wanted = space(tmp_path, rate, f"search: {{supervised: {search.supervised}}}")
        assert to_train(folder, wanted, search) == []
        (line,) = Baselines(folder, search).lines(finalists(folder), wanted)
        assert "inherit their finalists' learning rates" in line
        assert num_rates(wanted) == 1
        assert arms(folder, search)["0000-supervised"].config.optim.lr == 0.01


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ("space: {optim.lr: [0.01, 0.02, 0.03]}", 3),
        ("space: {optim.lr: {low: 0.1, high: 0.3, step: 0.1}}", 3),
        ("space: {optim.lr: {low: 0.1, high: 0.3}}", math.inf),
        ("fixed: {auxiliary: off}\nspace: {optim.lr: [0.01, 0.02]}", 1),  # nobody needs a baseline
        ("fixed: {aux_weight: 0.0}\nspace: {optim.lr: [0.01, 0.02]}", 1),
    ],
)
def test_how_many_rates_a_space_has(tmp_path, lines, number):
    (tmp_path / "s.yaml").write_text(lines)
    assert num_rates(space_file.load(tmp_path / "s.yaml", "laptop", {}, {})) == number


def test_runs_that_failed_are_not_chosen(folder, tmp_path):
    for number in range(3):
        searched(folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10)
    own, first, second = to_train(folder, space(tmp_path))
    for run, score, status in ((own, 0.5, "complete"), (first, 0.9, "failed"), (second, math.nan, "failed")):
        record(folder, Stage.BASELINE, run.name, score, status, **{"auxiliary": False, "optim.lr": run.config.optim.lr})
    assert arms(folder)["0000-supervised"].config.optim.lr == 0.01
    assert (
        to_train(folder, space(tmp_path)) == to_train(folder, space(tmp_path))
        and len(to_train(folder, space(tmp_path))) == 3
    ), "a rate that failed is not tried again, nor another one in its place"


def test_what_a_final_stage_began_with_stays(folder, tmp_path):
    """Of a study that an older version began, whose baselines inherited, and of one that was extended since."""
    for number in range(3):
        searched(
            folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10, optim_lr=0.01 + number / 1000
        )
    older = final_table.planned_runs(folder, leaderboard.of_folder(folder), SEARCH)
    assert {run.arm.name for run in older} == {"0000", "0000-supervised", "0001", "0001-supervised"}
    finish(folder, [run.suggestion for run in older[:3]], [0.5, 0.5, 0.5], Stage.FINAL)
    assert to_train(folder, space(tmp_path)) == []
    finish(folder, [run.suggestion for run in older], [0.5] * len(older), Stage.FINAL)
    searched(folder, "0003", 0.95, aux_weight=0.9, optim_lr=0.05)
    assert to_train(folder, space(tmp_path)) == []
    before = {run.arm.name: run.arm.config for run in older}
    now = arms(folder)
    assert list(now) == ["0003", "0000", "0000-supervised"], "no run of the baseline is trained under another name"
    assert all(now[name].config == before[name] for name in now.keys() & before.keys())


def test_every_prefix_of_the_runs_leads_to_the_same_runs(folder, tmp_path):
    """A kill may come between any two of them."""
    for number in range(7):
        searched(
            folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10, optim_lr=0.01 + number / 999
        )
    wanted = space(tmp_path)
    whole = to_train(folder, wanted)
    assert len(whole) == 7
    for run in whole:
        finish(folder, [run], [0.5])
        again = to_train(folder, wanted)
        assert {each.name: each.config for each in again} == {each.name: each.config for each in whole}


@pytest.mark.parametrize(
    ("parameter", "number", "known", "found"),
    [
        (Parameter("optim.lr", "", {}, (1e-3, 1e-2, 1e-1)), 2, [1e-3], [1e-1]),
        (Parameter("optim.lr", "", {}, (1e-3, 1e-2, 1e-1)), 9, [1e-3], [1e-1, 1e-2]),
        (Parameter("optim.lr", "", {}, low=0.1, high=0.3, step=0.1), 9, [0.3], [0.1, 0.2]),
        (Parameter("optim.lr", "", {}, low=0.0, high=1.0), 2, [0.2], [0.75]),
        (Parameter("optim.lr", "", {}, low=1e-4, high=1e-1, log=True), 3, [0.1], [3.16e-4, 3.16e-3]),
        (Parameter("optim.lr", "", {}, low=1e-4, high=1e-1, log=True), 1, [5.0], []),
    ],
)
def test_rates_are_spread_over_the_space_away_from_what_is_known(parameter, number, known, found):
    assert more_rates(parameter, number, known) == pytest.approx(found)


def test_a_rate_of_its_own_for_supervised_trials_is_drawn_from_what_the_space_says_of_them(folder, tmp_path):
    for number in range(2):
        searched(folder, f"{number:04d}", 0.9 - number / 100, aux_weight=0.1 + number / 10)
    path = tmp_path / "two.yaml"
    path.write_text(
        "fixed: {backbone.name: test_resnet}\nspace:\n  auxiliary: [on, off]\n  optim.lr:\n"
        "    - {choices: [0.01, 0.02], when: {auxiliary: [on]}}\n    - {choices: [0.5], when: {auxiliary: [off]}}\n"
    )
    wanted = space_file.load(path, "laptop", {}, {})
    assert rates(to_train(folder, wanted)) == [0.01, 0.5]
    assert Arm("0000", {**BASE, "aux_weight": 0.5}).baseline.config.optim.lr == 0.01
