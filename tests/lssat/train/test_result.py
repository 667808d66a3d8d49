"""What a run says travels as flat mappings and comes back the same."""

import json
import math

import pytest

from lssat.train.result import Ended, EpochResult, read_report

METRICS = {"train/task_loss": 0.5, "train/images_per_s": 120.0, "val/auc": 0.8, "val/gap": 0.1}
RESULT = EpochResult(
    epoch=2, epochs=3, score=0.8, best=0.9, parameters=1000, micro_batches=2, metrics=METRICS, best_gap=0.2, flops=5000
)


@pytest.mark.parametrize("panel", [None, b"\x89PNG"])
def test_an_epoch_comes_back_the_same_whatever_ray_adds(panel):
    result = EpochResult(**{**vars(RESULT), "panel": panel})
    assert read_report({**result.to_report(), "timestamp": 1, "config": {"val": 1}, "done": False}) == result


def test_an_epoch_is_a_line_of_json_under_the_keys_of_metrics_files():
    line = json.loads(json.dumps(RESULT.to_json()))
    assert read_report(line) == RESULT
    counts = {"epoch": 2, "epochs": 3, "parameters": 1000, "flops": 5000, "micro_batches": 2}
    assert line == {**METRICS, "val/score": 0.8, "val/best": 0.9, "val/best_gap": 0.2, **counts}
    assert "panel" in RESULT.to_report()


def test_a_run_without_subgroups_has_no_gap():
    result = EpochResult(epoch=1, epochs=1, score=0.8, best=0.8, parameters=1, micro_batches=1)
    assert not any("gap" in key or "flops" in key for key in result.to_json())
    assert read_report(result.to_report()) == result


def test_a_gap_that_is_not_defined_stays_so():
    result = EpochResult(**{**vars(RESULT), "best_gap": math.nan})
    back = read_report(json.loads(json.dumps(result.to_json())))
    assert isinstance(back, EpochResult) and back.best_gap is not None and math.isnan(back.best_gap)


@pytest.mark.parametrize("ended", [Ended("failed", "NonFiniteLoss: ..."), Ended("infeasible", "DoesNotFit: ...")])
def test_an_end_comes_back_the_same(ended):
    assert read_report({**ended.to_report(), "timestamp": 1}) == ended


def test_a_run_is_over_after_its_last_epoch():
    assert not RESULT.is_last
    assert EpochResult(**{**vars(RESULT), "epoch": 3}).is_last
