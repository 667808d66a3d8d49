"""The loop: same seed, same weights; kills lose nothing; the auxiliary task is really off when off."""

import math

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from lssat.config import build
from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import Datasets, RowKeys, pair_clips
from lssat.data.prepared.rows import Batch, ResidentRows
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts
from lssat.model.lssat import build_model
from lssat.model.tuned import freeze
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.distributed import Distributed, to_device
from lssat.train.loop import TrainingRun, fit
from lssat.train.losses import NonFiniteLoss
from lssat.train.result import CLOCKED, LAST_CHECKPOINT
from lssat.train.scoring import predict_rows, score_predictions
from lssat.train.step import StepContext, train_step
from lssat.train.views import draw, make_views

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
CPU = Distributed(torch.device("cpu"))
RECIPE = {  # every option of the recipe that is off by default, but for the frozen backbone
    "augment.randaugment": 9,
    "augment.mixup": 0.4,
    "augment.erase": 0.5,
    "augment.blur": 1.0,
    "augment.resize": 0.5,
    "augment.noise": 0.1,
    "augment.jpeg": 70,
    "optim.label_smoothing": 0.1,
    "optim.layer_decay": 0.7,
    "optim.accumulate": 2,
    "optim.class_balanced": True,
}
SMALL = {
    "backbone.name": "test_vit",
    "backbone.patch_size": 8,
    "data.image_size": 32,
    "masking.unit": 8,
    "decoder.dim": 32,
}


def config(**settings):
    return build({**SMALL, "optim.epochs": 3, "optim.batch_size": 8, "optim.precision": "float32", **settings})


def rows(num_rows=30, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(num_rows) % 3
    images = random.integers(0, 90, (num_rows, 32, 32, 3)) + labels[:, None, None, None] * 60
    return ResidentRows([{"image": images.astype(np.uint8), "label": labels}])


def train(settings, folder=None, stop_after=None):
    results = []

    def report(result):
        results.append(repeatable(result))
        if len(results) == stop_after:
            raise KeyboardInterrupt

    fit(TrainingRun(settings, TASK, rows(), rows(21, seed=1), CPU, folder), report)
    return results


def repeatable(result):
    """What an epoch measured, but for its speed."""
    return {key: value for key, value in result.to_json().items() if key not in CLOCKED}


def test_same_seed_same_results():
    assert train(config()) == train(config())
    assert train(config()) != train(config(seed=1))


def test_it_learns():
    results = train(config(**{"optim.epochs": 6, "aux_weight": 0.3}))
    assert results[-1]["val/best"] > 0.9
    assert results[-1]["train/task_loss"] < results[0]["train/task_loss"]
    assert results[-1]["train/reconstruction_loss"] < results[0]["train/reconstruction_loss"]


@pytest.mark.parametrize("stop_after", [1, 2])
@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "mobilenetv3_small_050"])
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path, backbone, stop_after):
    settings = config(
        **{
            "backbone.name": backbone,
            "backbone.patch_size": 8 if backbone == "test_vit" else None,
            "optim.ema_decay": 0.9,
        }
    )
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", stop_after)
    resumed = train(settings, tmp_path / "killed")
    assert resumed == whole[stop_after - 1 :], "the last saved epoch is reported again, then the rest follows"
    a, b = (checkpoint.load(tmp_path / name / "last")[0] for name in ("whole", "killed"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_killed_run_with_the_whole_recipe_ends_as_if_nothing_had_happened(tmp_path):
    whole = train(config(**RECIPE), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config(**RECIPE), tmp_path / "killed", 1)
    assert train(config(**RECIPE), tmp_path / "killed") == whole


def test_the_gap_at_the_best_epoch_outlives_a_kill(tmp_path):
    """The best epoch comes before the kill: what is reported after it cannot be measured anew."""
    texts = of_groups(Male=np.repeat(["0", "1"], [20, 22]))
    settings = config(**{"optim.epochs": 4, "optim.lr": 1e-5, "objective.subgroups": ["Male"]})

    def trained(folder, stop_after=None):
        results = []

        def report(result):
            results.append(repeatable(result))
            if len(results) == stop_after:
                raise KeyboardInterrupt

        fit(TrainingRun(settings, TASK, rows(), numbered(42), CPU, folder, texts), report)
        return results

    whole = trained(tmp_path / "whole")
    best = int(np.argmax([result["val/score"] for result in whole]))
    assert best < 3 and whole[-1]["val/best_gap"] == whole[best]["val/gap"]
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", best + 1)
    assert trained(tmp_path / "killed") == whole[best:]


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_a_frozen_backbone_does_not_move_while_head_and_decoder_learn(tmp_path, backbone):
    patch = {"backbone.patch_size": 8 if backbone == "test_vit" else None}
    settings = config(
        **{
            "backbone.name": backbone,
            "optim.tune": "head",
            "backbone.drop_path_rate": 0.3,
            "optim.weight_decay": 0.5,
            **patch,
        }
    )
    torch.manual_seed(settings.seed)
    before = build_model(settings, 3).state_dict()
    results = train(settings, tmp_path)
    after = checkpoint.load(tmp_path / "last")[0]
    for name, tensor in before.items():
        assert torch.equal(after[f"model.{name}"], tensor) == name.startswith("encoder."), name
    assert results[-1]["train/task_loss"] < results[0]["train/task_loss"]


@pytest.mark.parametrize("tune", ["norms", "norms+bias", "last_1"])
@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_a_killed_run_of_a_partly_frozen_backbone_ends_as_if_nothing_had_happened(tmp_path, backbone, tune):
    """To the bit; and what is frozen is what it was, in the running mean too."""
    patch = 8 if backbone == "test_vit" else None
    settings = config(
        **{"backbone.name": backbone, "backbone.patch_size": patch, "optim.tune": tune, "optim.ema_decay": 0.9}
    )
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", 2)
    assert train(settings, tmp_path / "killed") == whole[1:]
    a, b = (checkpoint.load(tmp_path / name / "last")[0] for name in ("whole", "killed"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    torch.manual_seed(settings.seed)
    model = freeze(build_model(settings, 3), tune)
    frozen = {name: weight for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen
    for name, weight in frozen.items():
        assert torch.equal(a[f"model.{name}"], weight) and torch.equal(a[f"average.module.{name}"], weight), name
    numbers = [weight.numel() for name, weight in model.named_parameters() if name.startswith("encoder.")]
    assert whole[-1]["learning"] == sum(numbers) - sum(map(torch.numel, frozen.values()))
    assert whole[-1]["parameters"] == sum(numbers)


def test_the_kept_weights_are_the_running_mean_of_the_steps(tmp_path):
    steps = []
    hook = register_optimizer_step_post_hook(
        lambda optimizer, *_: steps.append(optimizer.param_groups[0]["params"][0].detach().clone())
    )
    try:
        train(config(**{"optim.epochs": 2, "optim.ema_decay": 0.7}), tmp_path)
    finally:
        hook.remove()
    expected = steps[0]
    for weight in steps[1:]:
        expected = 0.7 * expected + 0.3 * weight
    kept = checkpoint.load(tmp_path / "last")[0]
    name = next(
        name
        for name in kept
        if name.startswith("average.")
        and kept[name].shape == expected.shape
        and torch.allclose(kept[name], expected, atol=1e-7)
    )
    assert not torch.allclose(kept[name.replace("average.module.", "model.")], expected, atol=1e-5)


def test_a_run_goes_on_where_only_the_choice_among_runs_has_changed(tmp_path):
    whole = train(config(**{"optim.epochs": 2}))
    with pytest.raises(KeyboardInterrupt):
        train(config(**{"optim.epochs": 2}), tmp_path, stop_after=1)
    resumed = train(config(**{"optim.epochs": 2, "objective.over": "worst"}), tmp_path)
    assert resumed[-1] == whole[-1]


def test_a_checkpoint_of_another_config_is_refused(tmp_path):
    train(config(), tmp_path)
    with pytest.raises(checkpoint.CheckpointError, match="another config"):
        train(config(**{"optim.lr": 2e-3}), tmp_path)


def test_a_checkpoint_by_the_version_before_is_gone_on_from(tmp_path):
    """It kept the settings of textures among those of the target, and what learns among those of the backbone."""
    settings = config(**{"streams": "MRGB/RLBP/CLBP", "texture.lbp_points": 6, "optim.tune": "head"})
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", 1)
    last = tmp_path / "killed" / LAST_CHECKPOINT
    tensors, state = checkpoint.load(last)
    state["config"]["target"] |= state["config"].pop("texture")
    state["config"]["backbone"]["trainable"] = state["config"]["optim"].pop("tune")
    checkpoint.save(last, tensors=tensors, state=state)
    assert train(settings, tmp_path / "killed") == whole
    other = config(**{"streams": "MRGB/RLBP/CLBP", "texture.lbp_points": 6, "optim.tune": "norms"})
    checkpoint.save(last, tensors=tensors, state=state)
    with pytest.raises(checkpoint.CheckpointError, match="another config"):
        train(other, tmp_path / "killed")


def test_what_is_saved_is_reported_even_if_the_first_report_was_lost(tmp_path):
    """A kill may come after an epoch was saved and before anybody has recorded it."""
    with pytest.raises(KeyboardInterrupt):
        train(config(), tmp_path, 1)
    _, state = checkpoint.load(tmp_path / LAST_CHECKPOINT)
    reported = []
    fit(TrainingRun(config(), TASK, rows(), rows(21, seed=1), CPU, tmp_path), reported.append)
    assert [result.epoch for result in reported] == [1, 2, 3]
    assert reported[0].to_json() == state["result"]
    assert reported[0].panel is None and all(result.panel for result in reported[1:])


def test_a_run_that_is_over_reports_its_last_result_again(tmp_path):
    whole = train(config(), tmp_path)
    assert train(config(), tmp_path) == whole[-1:]


def test_best_keeps_the_best_epoch(tmp_path):
    results = train(config(), tmp_path)
    _, state = checkpoint.load(tmp_path / "best")
    scores = [result["val/score"] for result in results]
    assert state["result"]["epoch"] == 1 + int(np.argmax(scores))
    assert results[-1]["val/best"] == max(scores)


def test_weight_zero_and_off_are_the_same_supervised_baseline():
    off, zero = train(config(auxiliary=False)), train(config(aux_weight=0))
    assert off == zero
    assert not any("train/reconstruction_loss" in result for result in off)
    assert build_model(config(aux_weight=0), 3).decoder is None


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(NonFiniteLoss, match=r"optim\.lr"):
        train(config(**{"optim.lr": 1e30, "optim.clip_norm": 1e30, "optim.warmup_epochs": 0}))


def test_padding_does_not_change_evaluation():
    model = build_model(config(), 3)
    measured = []
    for size in (8, 21, 50):
        settings = config(**{"optim.batch_size": size})
        predictions, _ = predict_rows(settings, model, rows(21), CPU)
        measured.append(score_predictions(settings, TASK, predictions))
    for other in measured[1:]:
        assert other.keys() == measured[0].keys()
        assert all(math.isclose(other[key], measured[0][key], rel_tol=1e-5) for key in other)


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext"])
@pytest.mark.parametrize("real", [8, 5])
@pytest.mark.parametrize("options", [{}, RECIPE])
def test_micro_batches_have_the_gradients_of_the_whole_batch(backbone, real, options):
    """Norms are layer norms here; batch norm would see one micro-batch at a time."""
    whole, losses = _step(_sized(backbone, **options | {"optim.accumulate": 1}), real)
    for number in (2, 4):
        parts, same_losses = _step(_sized(backbone, **options | {"optim.accumulate": number}), real)
        torch.testing.assert_close(same_losses, losses, rtol=1e-5, atol=1e-5)
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_batch_norm_sees_micro_batches():
    """Its running mean after two micro-batches: that of two steps over their rows."""
    parts, _ = _step(_sized("test_resnet", auxiliary=False, **{"optim.accumulate": 2}), 8)
    settings = _sized("test_resnet", auxiliary=False)
    torch.manual_seed(0)
    model = build_model(settings, 3)
    image, _ = to_device(_batch(8), CPU.device)
    image = make_views(
        settings, model.encoder, image, draw(settings, model.encoder, torch.Generator().manual_seed(5))
    ).classified
    for rows in (slice(0, 4), slice(4, 8)):
        model(image[rows])
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(parts[name], buffer, msg=name)


def test_the_logged_task_loss_is_neither_smoothed_nor_weighted():
    _, plain = _step(_sized("test_vit"), 8)
    trained, smoothed = _step(_sized("test_vit", **{"optim.label_smoothing": 0.3}), 8, torch.tensor([1.0, 5.0, 0.2]))
    assert smoothed == plain
    assert not any(value.requires_grad for value in (*smoothed, *plain)), "nothing keeps the step's graph alive"
    assert not torch.equal(trained["head.weight"], _step(_sized("test_vit"), 8)[0]["head.weight"])


def _sized(backbone, **settings):
    patch = {"backbone.patch_size": 8 if backbone == "test_vit" else None}
    return config(**{"backbone.name": backbone, "data.image_size": 64, "masking.unit": 16, **patch, **settings})


def _step(settings, real, weights=None):
    torch.manual_seed(0)
    model = build_model(settings, 3)
    context = StepContext.of(settings, TASK, CPU) if weights is None else StepContext(settings, TASK, CPU, weights)
    losses = train_step(context, model, _batch(real), torch.Generator().manual_seed(5), settings.optim.accumulate)
    return _learnt(model), losses


def _learnt(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()} | dict(model.named_buffers())


def _batch(real):
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (real, 64, 64, 3)).astype(np.uint8)
    return Batch(image, np.arange(real) % 3, np.arange(real), size=8)


def test_a_share_of_the_rows_is_the_same_for_any_number_of_workers():
    whole = rows(300)
    chosen = whole.subset(0.3, seed=1)
    assert 60 < chosen.num_rows < 120
    block = {name: np.concatenate([b[name] for b in whole._blocks]) for name in ("image", "label")}
    halves = [
        ResidentRows([{name: array[part] for name, array in block.items()}])
        for part in (slice(0, 133), slice(133, 300))
    ]
    pieces = [
        batch.image
        for half in halves
        for batch in half.subset(0.3, seed=1).batches(1, half.subset(0.3, seed=1).num_rows, None)
    ]
    together = [batch.image for batch in chosen.batches(1, chosen.num_rows, None)]
    assert np.array_equal(np.concatenate(pieces), np.concatenate(together))
    other = whole.subset(0.3, seed=2)
    assert set(other._rows) != set(chosen._rows)
    assert set(other._rows) & set(chosen._rows), "seeds draw independently"
    assert set(chosen.subset(0.5, seed=2)._rows) == set(chosen._rows) & set(whole.subset(0.5, seed=2)._rows)
    with pytest.raises(AssertionError, match="before rows are drawn"):
        whole.drawn(Drawing.of(config(**{"data.sampling": "balanced"}).data, True, None), 0, 1).subset(0.5, seed=2)


def test_validation_images_are_never_degraded():
    """With a rate of next to nothing the weights stay, and so do the scores."""
    still = {"optim.lr": 1e-12, "optim.min_lr": 0.0, "optim.weight_decay": 0.0, "optim.epochs": 1}
    still |= {"optim.warmup_epochs": 0.5}
    strong = {"augment.blur": 4.0, "augment.resize": 0.9, "augment.noise": 0.5, "augment.jpeg": 95}
    (plain,), (degraded,) = train(config(**still)), train(config(**still, **strong))
    assert plain["train/reconstruction_loss"] != degraded["train/reconstruction_loss"]
    measured = [name for name in plain if name.startswith("val/")]
    assert {name: plain[name] for name in measured} == pytest.approx({name: degraded[name] for name in measured})


def test_a_killed_run_on_pairs_ends_as_if_nothing_had_happened(tmp_path):
    row = np.arange(30)
    clips = pair_clips({"identity": (row % 5).astype(str), "video": np.full(30, "")}, row // 5 % 2)
    keys = RowKeys(Datasets(row % 5 // 3, np.array([1.0, 2.0])), clips)
    blocks = [{"image": rows()._blocks[0]["image"], "label": row // 5 % 2, "row": row}]
    task = Task("deepfake", "binary", ("real", "fake"), (15, 15), 30)
    settings = config(**{"data.sampling": "paired", "data.weights": {"a": 1.0, "b": 2.0}})

    def trained(folder, stop_after=None):
        results = []

        def report(result):
            results.append(repeatable(result))
            if len(results) == stop_after:
                raise KeyboardInterrupt

        data = ResidentRows(blocks)
        fit(TrainingRun(settings, task, data, data, CPU, folder, keys=keys), report)
        return results

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", 1)
    assert trained(tmp_path / "killed") == whole


def test_classes_are_evened_out_once():
    """By drawing where that was asked for; by weights where it was not, or where rows have several labels."""
    task = Task("emotion", "multiclass", ("a", "b", "c"), (2, 8, 20), 30)  # as if the classes were not equally frequent
    several = Task("attributes", "multilabel", ("a", "b", "c"), (2, 8, 20), 30)
    labels = np.eye(3, dtype=np.int64)[np.arange(30) % 3]
    with_several = ResidentRows(
        [{"image": np.stack([batch.image[0] for batch in rows().batches(1, 30, None)]), "label": labels}]
    )

    def losses(task, train, **settings):
        reported = []
        run = TrainingRun(config(**{"optim.epochs": 2, **settings}), task, train, train, CPU)
        fit(run, lambda result: reported.append(result.metrics["train/task_loss"]))
        return reported

    weighted, drawn = {"optim.class_balanced": True}, {"data.sampling": "balanced"}
    assert losses(task, rows(), **drawn, **weighted) == losses(task, rows(), **drawn)
    assert losses(task, rows(), **drawn) != losses(task, rows()) != losses(task, rows(), **weighted)
    assert losses(several, with_several, **drawn, **weighted) == losses(several, with_several, **weighted)
    assert losses(several, with_several, **weighted) != losses(several, with_several)


def test_a_score_that_is_not_defined_ends_the_run_and_says_so():
    alike = of_groups(Male=np.full(21, "1"))  # there is no other group
    settings = config(**{"objective.metric": "worst_group", "objective.subgroups": ["Male"]})
    with pytest.raises(ConfigError, match="worst_group is not defined"):
        fit(TrainingRun(settings, TASK, rows(), numbered(21), CPU, texts=alike), lambda result: None)


def of_groups(**groups):
    """Rows of which nothing but their subgroups is known."""
    nothing = np.full(len(next(iter(groups.values()))), "")
    return RowTexts(nothing, nothing, groups)


def numbered(num_rows):
    """Rows that know where in their split they are."""
    (batch,) = rows(num_rows, seed=1).batches(num_rows, 1, None)
    return ResidentRows([{"image": batch.image, "label": batch.label, "row": np.arange(num_rows)}])
