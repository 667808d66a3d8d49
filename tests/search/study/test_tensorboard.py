"""TensorBoard's runs are named after stage, trial and backbone, and show what was trained with."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from search.record.folder import Stage
from search.strategy.finalists import Arm
from search.strategy.suggestion import Suggestion
from search.study.tensorboard import TensorBoard, shown_settings
from tests.search.records import epoch

SEARCHED = ["backbone.patch_size", "streams", "aux_weight", "masking.ratio", "optim.lr", "texture.lbp_points"]
SAMPLED = {
    "backbone.name": "test_resnet",
    "data.image_size": 64,
    "masking.unit": 16,
    "streams": "MRGB/RLBP/CLBP",
    "aux_weight": 0.9,
    "masking.ratio": 0.6,
    "optim.lr": 1e-3,
    "texture.lbp_points": 16,
}


def recorded(folder):
    """The hyper-parameters that TensorBoard reads from a run, and its epochs."""
    events = EventAccumulator(str(folder)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    values = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    found = {key: getattr(value, value.WhichOneof("kind")) for key, value in values.items()}
    return found, [point.step for point in events.Scalars("val/best")]


def train(folder, stage, suggestion, *epochs):
    writer = TensorBoard(folder, stage, SEARCHED)
    for at in epochs:
        writer.add(suggestion, epoch(at, 0.5))
    writer.close(suggestion.name)


def test_a_baseline_is_recorded_without_what_only_the_auxiliary_task_reads(tmp_path):
    arm = Arm("0003", SAMPLED)
    for each in (arm, arm.baseline):
        train(tmp_path, Stage.FINAL, Suggestion(f"{each.name}-seed1", {**each.sampled, "seed": 1}), 1, 2)
    names = sorted(path.name for path in (tmp_path / "final").iterdir())
    assert names == ["0003-seed1 test_resnet", "0003-supervised-CLBP-seed1 test_resnet"]
    own, baseline = (recorded(tmp_path / "final" / name) for name in names)
    assert own[0] == {
        "backbone": "test_resnet", "streams": "MRGB/RLBP/CLBP", "aux_weight": 0.9, "masking.ratio": 0.6,
        "optim.lr": 1e-3, "texture.lbp_points": 16,
    }  # fmt: skip
    assert baseline[0] == {
        "backbone": "test_resnet", "streams": "none/CLBP", "aux_weight": 0.0, "optim.lr": 1e-3,
        "texture.lbp_points": 16,
    }  # fmt: skip
    assert own[1] == baseline[1] == [1, 2]


@pytest.mark.parametrize("more", [{"auxiliary": False}, {"aux_weight": 0.0}])
def test_a_trial_without_an_auxiliary_task_is_recorded_like_one(more):
    shown = shown_settings(Suggestion("0000", {**SAMPLED, **more}), SEARCHED)
    assert (shown["streams"], shown["aux_weight"], "masking.ratio" in shown) == ("none/CLBP", 0.0, False)


def test_a_run_that_the_version_before_began_stays_one_run(tmp_path):
    suggestion = Suggestion("0003", SAMPLED)
    train(tmp_path, Stage.SEARCH, suggestion, 1)
    (tmp_path / "search" / "0003 test_resnet").rename(tmp_path / "0003")
    (tmp_path / "search").rmdir()
    train(tmp_path, Stage.SEARCH, suggestion, 2)
    train(tmp_path, Stage.SEARCH, suggestion, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["search"]
    assert recorded(tmp_path / "search" / "0003 test_resnet")[1] == [1, 2, 3]
