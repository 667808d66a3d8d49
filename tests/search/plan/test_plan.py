"""A plan: epochs as counted by hand, backbones as the space draws them, and nothing left behind."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler
from rich.console import Console

from lssat.config import build
from lssat.data.prepare.look import look
from lssat.data.prepare.prepare import prepare
from search.plan import command as planning
from search.plan import rates
from search.plan.actual import Actual, actual
from search.plan.data import ASSUMED_ROWS, DataEstimate, Listed, estimate_data
from search.plan.estimate import make_plan
from search.plan.machine import Machine
from search.plan.rates import Rate, between
from search.plan.screen import compare, show
from search.record.folder import RunFolder, Stage
from search.record.trials import METRICS, Outcome, Status
from search.space import epochs
from search.space import file as space_file
from search.space.epochs import Span
from search.space.settings import SearchConfig
from tests.lssat.data.tables import table

ROOT = Path(__file__).resolve().parents[3]
SPACE = """
fixed:
  data.image_size: 64
  masking.unit: 16
  decoder.dim: 32
  optim.epochs: 10
  optim.batch_size: 16
  optim.precision: float32
space:
  backbone.name: [test_resnet, test_vit2, test_convnext]
  aux_weight: [0.1, 0.5]
  masking.ratio: {low: 0.4, high: 0.8, step: 0.2}
search: {num_trials: 12, grace_epochs: 3, reduction_factor: 4, finalists: 2, final_seeds: 3}
"""
DATA = DataEstimate({"train": 400, "val": 100, "test": 100}, 3, 1_000_000, "made up")
BIG = Machine(cpus=4, memory=64 << 30, gpus=0, gpu_memory=0)


def load(path, text=SPACE, **pinned):
    path.write_text(text)
    return space_file.load(path, "none", pinned, {})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # 12 x 3, then 3 go on for 7; at least: 11 x 3 and one whole
        ({"num_trials": 12, "grace_epochs": 3, "reduction_factor": 4}, Span(43, 57, 120)),
        # rungs at 1, 2, 4, 8: 16 x 1 + 8 x 1 + 4 x 2 + 2 x 4 + 1 x 2
        ({"num_trials": 16, "grace_epochs": 1, "reduction_factor": 2}, Span(25, 42, 160)),
        ({"num_trials": 12, "scheduler": "none"}, Span(120, 120, 120)),
        ({"num_trials": 12, "grace_epochs": 10}, Span(120, 120, 120)),
        ({"num_trials": 12, "grace_epochs": 4, "scheduler": "median"}, Span(54, 84, 120)),
        ({"num_trials": 12, "grace_epochs": 3, "reduction_factor": 4, "max_epochs": 50}, Span(43, 50, 50)),
    ],
)
def test_epochs_of_a_search(settings, expected):
    assert epochs.searched(SearchConfig(**settings), 10) == expected


@pytest.mark.parametrize(("grace", "factor", "most"), [(3, 4, 10), (1, 2, 9), (10, 3, 100), (2, 3, 20)])
def test_rungs_are_those_of_the_scheduler(grace, factor, most):
    asha = AsyncHyperBandScheduler(
        time_attr="epoch", metric="m", mode="max", max_t=most, grace_period=grace, reduction_factor=factor
    )
    milestones = sorted(milestone for milestone, _ in asha._brackets[0]._rungs if milestone < most)
    assert epochs.rungs(SearchConfig(grace_epochs=grace, reduction_factor=factor), most) == milestones


def test_epochs_of_the_final_stage():
    assert epochs.final(SearchConfig(finalists=3, final_seeds=4), 10) == 3 * 2 * 4 * 10
    assert epochs.final(SearchConfig(num_trials=2, finalists=3, final_seeds=4), 10) == 2 * 2 * 4 * 10
    assert epochs.final(SearchConfig(finalists=0), 10) == 0
    assert epochs.final(SearchConfig(finalists=1, final_seeds=4, supervised="none"), 10) == 1 * 4 * 10


@pytest.mark.parametrize(("num_trials", "finalists"), [(20, 2 * 5), (8, 8)])
def test_a_final_stage_per_backbone_has_finalists_of_each(num_trials, finalists):
    search = SearchConfig(num_trials=num_trials, finalists=2, finalists_per="backbone", final_seeds=3)
    assert epochs.final(search, 10, backbones=5) == finalists * 2 * 3 * 10


@pytest.mark.parametrize(
    ("settings", "num_backbones", "num_rates", "expected"),
    [
        ({"scheduler": "none"}, 1, math.inf, Span(2 * 12 * 10, 2 * 12 * 10, 2 * 12 * 10)),
        ({"scheduler": "none"}, 1, 3, Span(2 * 3 * 10, 2 * 3 * 10, 2 * 3 * 10)),
        ({"scheduler": "none"}, 1, 1, Span(0, 0, 0)),  # the space pins the rate
        ({"scheduler": "none", "finalists": 0}, 1, math.inf, Span(0, 0, 0)),
        ({"scheduler": "promotion", "grace_epochs": 3, "reduction_factor": 4}, 1, math.inf, Span(60, 60, 240)),
        # three are complete: of both others one, or two, are of the same backbone as the finalist
        ({"grace_epochs": 3, "reduction_factor": 4}, 2, math.inf, Span(0, 20 * (2 / 4 * 2 + 1 / 4 * 3), 240)),
        ({"scheduler": "none", "max_epochs": 20}, 1, math.inf, Span(40, 40, 40)),
        # twelve trials of four backbones: each is of one of them, so no more are tried for a finalist of each
        (
            {"scheduler": "none", "finalists_per": "backbone", "finalists": 1},
            4,
            math.inf,
            Span(0, 120 * (1 - 0.75**11), 120),
        ),
    ],
)
def test_epochs_in_which_baselines_are_tried(settings, num_backbones, num_rates, expected):
    search = SearchConfig(**{"num_trials": 12, "finalists": 2, **settings})
    assert epochs.baselines(search, 10, num_backbones, num_rates) == expected


def test_rates_lie_on_a_line_of_logarithms():
    small, large = (10**5, Rate(1000, 4000)), (10**7, Rate(10, 40))
    assert [between(small, large, 10**n).train for n in (5, 6, 7)] == pytest.approx([1000, 100, 10])
    assert between(small, small, 10**5) == Rate(1000, 4000)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return make_plan(load(tmp_path_factory.mktemp("plan") / "s.yaml"), DATA, BIG, 2.0, print)


def test_the_plan_of_a_small_space(plan):
    assert plan.points == "18"
    assert (plan.trials, plan.epochs) == (12, Span(43 + 120, 57 + 120, 120 + 120))
    sizes = [backbone.num_parameters for backbone in plan.backbones]
    assert {backbone.name for backbone in plan.backbones} == {
        "test_resnet",
        "test_vit2",
        "test_convnext",
    } and sizes == sorted(sizes)
    assert all((backbone.num_concurrent, backbone.num_micro_batches) == (4, 1) for backbone in plan.backbones)
    assert plan.seconds.low < plan.seconds.expected < plan.seconds.high
    per_epoch = sum(backbone.seconds_per_epoch for backbone in plan.backbones) / 3 / 4
    assert plan.seconds.high == pytest.approx(240 * per_epoch)
    weights = sum(sizes) / 3 * 4
    assert plan.disk == pytest.approx(24 * weights + 4 * 3 * max(sizes) * 4 + 1_000_000, abs=1)
    assert plan.to_json()["epochs"] == {"low": 163, "expected": 177, "high": 240}
    assert plan.seen.startswith("4 arms (finalists and their supervised baselines) x 3 seeds: with 100 scored valid")


def test_a_plan_counts_the_rates_that_baselines_are_tried_with(tmp_path):
    text = SPACE.replace("[test_resnet, test_vit2, test_convnext]", "[test_resnet]")
    path = tmp_path / "s.yaml"
    pinned, searched = (
        make_plan(load(path, text.replace("space:", f"space:{rates}")), DATA, BIG, 0.5, print)
        for rates in ("", "\n  optim.lr: [0.01, 0.02]")
    )
    assert (pinned.baseline_epochs, searched.baseline_epochs) == (Span(0, 0, 0), Span(0, 40, 40))
    assert searched.epochs == pinned.epochs.plus(Span(0, 40, 40))
    assert searched.disk == pytest.approx(pinned.disk + 4 * searched.backbones[0].num_parameters * 4, abs=2)
    console = Console(record=True, width=140, file=open(os.devnull, "w"))  # noqa: SIM115
    show(searched, console)
    said = " ".join(console.export_text().split())
    assert "120 of the final stage (12 runs) and 0 / 40 / 40 for learning rates of supervised baselines" in said
    assert "final 4 arms" in said


def test_memory_that_is_short_takes_more_micro_batches_or_none(tmp_path):
    space = load(tmp_path / "s.yaml", **{"backbone.name": "test_vit2", "optim.batch_size": 512, "data.image_size": 64})
    roomy, short, none = (
        make_plan(space, DATA, Machine(1, memory << 20, 0, 0), 1.0, print).backbones[0] for memory in (8000, 620, 300)
    )
    assert roomy.num_micro_batches == 1 and roomy.memory > 620 << 20
    assert short.num_micro_batches > 1 and short.memory <= short.available
    assert none.num_micro_batches == 0 and none.seconds_per_epoch is None


def test_a_busy_machine_is_said_to_be_and_does_not_make_the_plan_longer(tmp_path, monkeypatch, plan):
    config = load(tmp_path / "s.yaml").example()
    half = SimpleNamespace(perf_counter=time.perf_counter, thread_time=lambda: time.perf_counter() / 2)
    monkeypatch.setattr(rates, "time", half)
    found = rates.measure(config, 3, 0.5)
    assert found.share == pytest.approx(0.5, abs=0.05)
    assert between((1, found), (2, Rate(1, 1, share=0.9)), 2).share == found.share
    for share, is_said in ((0.5, True), (0.9, False)):
        busy = replace(plan, backbones=tuple(replace(each, cpu_share=share) for each in plan.backbones))
        console = Console(record=True, width=140, file=open(os.devnull, "w"))  # noqa: SIM115
        show(busy, console)
        assert ("a CPU for 50% of its time" in console.export_text()) == is_said


def test_a_machine_without_gpus_has_no_room_for_trials_on_gpus(tmp_path):
    plan = make_plan(load(tmp_path / "s.yaml", **{"resources.gpus_per_worker": 1}), DATA, BIG, 1.0, print)
    assert plan.seconds is None and {backbone.num_concurrent for backbone in plan.backbones} == {0}
    console = Console(record=True, width=140, file=open(os.devnull, "w"))  # noqa: SIM115
    show(plan, console)
    text = console.export_text()
    assert "unknown" in text and "too few CPUs or GPUs" in text


def test_rows_come_from_where_they_are_known(tmp_path):
    table = tmp_path / "faces.csv"
    table.write_text("image,x\n" + "".join(f"{row}.jpg,{row % 3}\n" for row in range(100)))
    own = build({"data.source": str(table), "data.task": "x"}).data
    assert estimate_data(own, tmp_path, unknown(own)).rows == ASSUMED_ROWS
    found = estimate_data(own, tmp_path, listed(own))
    assert (sum(found.rows.values()), found.num_outputs) == (100, 3)
    synthetic = build({"data.num_images": 300}).data
    assert estimate_data(synthetic, tmp_path, listed(synthetic)).rows["train"] == 300
    prepared = tmp_path / "synthetic-emotion-1"
    prepared.mkdir()
    info = {
        "source": "synthetic",
        "task": "emotion",
        "kind": "multiclass",
        "classes": ["a", "b", "c"],
        "synthetic": True,
        "columns": [],
        "rejects": [],
    }
    options = {"num_images": 300, "image_size": 64, "seed": 0, "classes": None}
    (prepared / "dataset.json").write_text(
        json.dumps(info | {"options": options, "rows": {"train": 290, "val": 9, "test": 9}})
    )
    assert estimate_data(synthetic, tmp_path, listed(synthetic)).rows["train"] == 290
    others = build({"data.num_images": 301}).data
    assert estimate_data(others, tmp_path, listed(others)).rows["train"] == 301


def test_rows_of_joined_data_are_those_that_count(tmp_path):
    splits = {"train": 12, "val": 6, "test": 4}
    sources = [table(tmp_path / f"{name}.parquet", splits, ["glad", "sad"]) for name in "ab"]
    data = build({"data.source": sources, "data.task": "mood"}).data
    judged = data.model_copy(update={"validate_on": "b"})
    prepare(judged, tmp_path / "cache", str)
    assert estimate_data(judged, tmp_path / "cache", unknown(judged)).rows == {"train": 24, "val": 6, "test": 4}
    assert estimate_data(data, tmp_path / "cache", unknown(data)).rows == ASSUMED_ROWS, "other rows count there"
    assert estimate_data(data, tmp_path, listed(data)).rows == {"train": 24, "val": 12, "test": 8}


def test_of_what_is_held_out_training_has_nothing_and_validation_counts_the_rest_as_unscored(tmp_path):
    """Of 300 synthetic images 240 are fakes of four methods, of 800 of validation 400. Of joined data `b` is not learnt
    from, and alone scored, before and after they are prepared.
    """
    fakes = {"data.task": "deepfake", "data.num_images": 300, "data.hold_out": "method", "data.held_out": ["warp"]}
    found = estimate_data(build(fakes).data, tmp_path, listed(build(fakes).data))
    assert (found.rows, found.scored) == ({"train": 240, "val": 800, "test": 800}, 500)
    sources = [table(tmp_path / f"{name}.parquet", {"train": 12, "val": 6, "test": 4}, ["x", "y"]) for name in "ab"]
    joined = {"data.source": sources, "data.task": "mood", "data.hold_out": "dataset", "data.held_out": ["b"]}
    for origin in ("as listed", "as prepared"):
        found = estimate_data(build(joined).data, tmp_path, listed(build(joined).data))
        assert (found.rows, found.scored) == ({"train": 12, "val": 12, "test": 8}, 6)
        assert found.origin.startswith(origin)
        prepare(build(joined).data, tmp_path, str)


def unknown(data):
    """The data as long as nobody has counted them."""
    return Listed(replace(look(data).info, rows={}))


def listed(data):
    """As a look at them finds them."""
    found = look(data)
    return Listed(found.info, found.cells)


def ended(folder, name, moments, **clocked):
    """A trial whose epochs ended at these moments, after these seconds of training."""
    record = folder.record(Stage.SEARCH, name).begin({}, build({}))
    known = {"epochs": 10, "val/score": 0.5, "val/best": 0.5, "parameters": 1, "micro_batches": 1, **clocked}
    lines = [
        {**known, "epoch": epoch, "time": moment, "seconds": seconds}
        for epoch, (moment, seconds) in enumerate(moments, 1)
    ]
    (record.folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    record.end(Outcome(Status.COMPLETE, seconds=moments[-1][1]))


def test_plan_against_actual(tmp_path, plan):
    folder = RunFolder(tmp_path)
    for number, (last, seconds) in enumerate([(3, 30), (10, 90)]):
        trained = [epoch * seconds / last for epoch in range(1, last + 1)]
        ended(folder, f"{number:04d}", [(1000 + each, each) for each in trained])
    found = actual(folder)
    assert (found.trials, found.epochs, found.seconds) == (2, 13, pytest.approx(90))
    console = Console(record=True, width=140, file=open(os.devnull, "w"))  # noqa: SIM115
    compare(plan.to_json(), Actual(12, 171, 100.0, 5_000_000, {"training": 0.7, "nothing runs": 0.3}), console)
    text = console.export_text()
    assert all(word in text for word in ("163", "177", "240", "171", "5 MB left"))
    assert "training 70%, nothing runs 30%" in text


def test_the_time_of_a_study_is_told_by_what_it_was_spent_on(tmp_path):
    folder = RunFolder(tmp_path)
    clocked = {"train/seconds": 6.0, "train/waiting_seconds": 1.0, "val/seconds": 2.0}
    for name, moments in {"0000": (1010, 1020), "0001": (1010, 1020), "0002": (1040,)}.items():
        ended(folder, name, [(moment, 10.0 * epoch) for epoch, moment in enumerate(moments, 1)], **clocked)
    expected = {
        "training": 25 / 80,
        "evaluation": 10 / 80,
        "waiting for images": 5 / 80,
        "starts and checkpoints": 10 / 80,
        "nothing runs": 30 / 80,
    }
    found = actual(folder)
    assert found.seconds == 40, "two places, of which one stands empty for 20 seconds and the other for 10"
    assert found.spent == pytest.approx(expected)
    ended(folder, "0003", [(1040, 10), (5040, 20)], **clocked)
    found = actual(folder)
    assert found.seconds == 4040, "it was interrupted for an hour, which is no place that stands empty"
    assert found.spent["nothing runs"] == pytest.approx(30 / 100)


def test_an_epoch_by_one_clock_does_not_begin_before_the_last_one_ended_by_another(tmp_path):
    folder = RunFolder(tmp_path)
    clocked = {"train/seconds": 9.0, "train/waiting_seconds": 0.0, "val/seconds": 1.0}
    ended(folder, "0000", [(1010, 10), (1020, 20.04), (1030, 30.08)], **clocked)
    assert actual(folder).spent["nothing runs"] == pytest.approx(0, abs=0.01), "there is one place"


@pytest.mark.slow
def test_the_command_launches_nothing_and_keeps_the_plan_for_later(tmp_path):
    (tmp_path / "s.yaml").write_text(SPACE)
    command = [
        sys.executable,
        "search/run.py",
        "--space",
        tmp_path / "s.yaml",
        "--results",
        tmp_path / "results",
        "--plan",
        "--set",
        "data.num_images=200",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "an estimate" in done.stdout and "test_convnext" in done.stdout and "163 / 177 / 240" in done.stdout
    (kept,) = (path for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert kept == tmp_path / "results" / ".plans" / "s-emotion.json"
    space = space_file.load(tmp_path / "s.yaml", "laptop", {"data.num_images": 200}, {})
    console = Console(record=True, width=140, file=open(os.devnull, "w"))  # noqa: SIM115
    folder = RunFolder(tmp_path / "results" / "s-emotion")
    planning.compare_with_plan(space, folder, console)
    assert "163" in console.export_text()
    planning.compare_with_plan(space_file.load(tmp_path / "s.yaml", "laptop", {}, {}), folder, console)
    assert console.export_text(clear=False).count("163") <= 1, "the plan of another space is none"
