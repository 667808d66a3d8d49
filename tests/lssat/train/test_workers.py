"""Two workers: what happens to one is known to both, and a run that they are killed in ends as that of one worker."""

import json
import pickle

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from lssat.config import build
from lssat.data.prepared.row_keys import RowKeys, pair_clips
from lssat.data.prepared.rows import Batch, ResidentRows
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts
from lssat.task import Task
from lssat.train import microbatch
from lssat.train.distributed import Distributed
from lssat.train.learner import load_predictions, new_learner
from lssat.train.loop import TrainingRun, fit
from lssat.train.probe import fewest_micro_batches
from lssat.train.result import CLOCKED
from lssat.train.step import StepContext
from tests.lssat.one_of_two import one_of_two

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
NUM_ROWS = 30
ALONE = Distributed(torch.device("cpu"))
SMALL = {
    "backbone.name": "test_vit",
    "backbone.patch_size": 8,
    "data.image_size": 32,
    "masking.unit": 8,
    "decoder.dim": 32,
    "optim.epochs": 3,
    "optim.batch_size": 8,
    "optim.precision": "float32",
    "resources.num_workers": 2,
}


class TakesTwo(Exception):
    """It cannot be made again from its message, as many errors of libraries."""

    def __init__(self, place, reason):
        super().__init__(f"{place}: {reason}")


class Share:
    """A worker's part of every global batch, so that all workers together see the batches of one."""

    def __init__(self, distributed, seed=0, classes=3, side=32):
        random, self.distributed, self.classes = np.random.default_rng(seed), distributed, classes
        self.image = random.integers(0, 255, (NUM_ROWS, side, side, 3)).astype(np.uint8)
        self.num_rows = NUM_ROWS // distributed.world_size

    def batches(self, size, steps, seed):
        order = np.arange(NUM_ROWS) if seed is None else np.random.default_rng(seed).permutation(NUM_ROWS)
        for step in range(steps):
            start = (step * self.distributed.world_size + self.distributed.rank) * size
            chosen = order[start : start + size]
            yield Batch(self.image[chosen], chosen % self.classes, chosen, size)


def run(distributed, folder=None):
    settings = build({**SMALL, "resources.num_workers": distributed.world_size})
    return TrainingRun(settings, TASK, Share(distributed), Share(distributed, seed=1), distributed, folder)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """What each of two workers came to, by the name of the case."""
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(_work, args=(folder,), nprocs=2)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def _work(rank, folder):
    with one_of_two(rank, folder) as distributed:
        cases = (_probed, _failed, _failed_unsendably, _without_rows, _killed, _kept, _tuned, _scored_by_video, _paired)
        done = {case.__name__: case(distributed, folder) for case in cases}
        (folder / f"{rank}.json").write_text(json.dumps(done))


def _probed(distributed, _folder):
    sized = {"backbone.name": "test_resnet", "backbone.patch_size": None, "data.image_size": 64, "masking.unit": 16}
    settings = build({**SMALL, **sized})
    torch.manual_seed(0)
    learner = new_learner(settings, TASK, distributed.device)
    if distributed.rank == 1:
        last = [module for module in learner.model.encoder.modules() if isinstance(module, nn.Conv2d)][-1]
        last.register_forward_hook(_out_of_memory_above_two_rows)
    context = StepContext.of(settings, TASK, distributed)
    return microbatch.agreed(distributed, lambda: fewest_micro_batches(context, learner, 1))


def _out_of_memory_above_two_rows(_module, inputs, _output):
    if torch.is_grad_enabled() and len(inputs[0]) > 2:
        raise torch.OutOfMemoryError("CUDA out of memory.")


def _failed(distributed, _folder):
    def find():
        if distributed.rank == 1:
            raise FloatingPointError("of the second")
        return 1

    return _error_of(lambda: microbatch.agreed(distributed, find))


def _failed_unsendably(distributed, _folder):
    def find():
        if distributed.rank == 1:
            raise TakesTwo("here", "there")
        return 1

    return _error_of(lambda: microbatch.agreed(distributed, find))


def _without_rows(distributed, _folder):
    """One row is drawn, and it is the second worker's."""
    images = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": np.arange(12) % 3}])
    settings = build({**SMALL, "data.train_fraction": 0.9 if distributed.rank else 1e-6})
    return _error_of(lambda: fit(TrainingRun(settings, TASK, rows, rows, distributed), lambda result: None))


def _error_of(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def _killed(distributed, folder):
    results = []

    def report(result):
        results.append(result.to_json())
        if len(results) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(run(distributed, folder / "run"), report)
    dist.barrier()  # the checkpoint is the first worker's
    fit(run(distributed, folder / "run"), report)
    return results


def _kept(distributed, folder):
    """What `best` says of the validation rows, after `_killed`: the epoch, and a list by the position of the row."""
    dist.barrier()  # the checkpoint is the first worker's
    return kept_in(folder / "run")


def kept_in(folder):
    result, (predictions, positions) = load_predictions(folder / "best")
    of_rows = zip(positions.tolist(), predictions.labels.tolist(), predictions.logits.tolist(), strict=True)
    return [result.epoch, sorted(of_rows)]


def _tuned(distributed, _folder):
    """Two epochs of a backbone with batch norm of which a part learns, by that part."""
    found = {}
    for tune in ("norms", "last_1"):
        results = found[tune] = []
        sized = {"backbone.name": "test_resnet", "backbone.patch_size": None, "data.image_size": 64, "masking.unit": 16}
        sized |= {"optim.epochs": 2, "optim.tune": tune, "resources.num_workers": distributed.world_size}
        settings = build({**SMALL, **sized})
        share = Share(distributed, side=64)
        fit(
            TrainingRun(settings, TASK, share, share, distributed),
            lambda result, results=results: results.append(result.to_json()),
        )
    return found


def _scored_by_video(distributed, _folder):
    """Frames of one video are on both workers."""
    settings = build({**SMALL, "resources.num_workers": distributed.world_size, "optim.lr": 1e-6, "optim.epochs": 2})
    task, results = Task("deepfake", "binary", ("real", "fake"), (20, 10), NUM_ROWS), []
    rows, nothing = Share(distributed, classes=2), np.full(NUM_ROWS, "")
    texts = RowTexts(nothing, np.array([f"v{row % 10}" for row in range(NUM_ROWS)]), {})
    run = TrainingRun(settings, task, rows, rows, distributed, None, texts)
    fit(run, lambda result: results.append(result.to_json()))
    return results


def _paired(distributed, _folder):
    """Each worker has all rows; there are three persons, each real and forged."""
    random, row = np.random.default_rng(0), np.arange(NUM_ROWS)
    images = random.integers(0, 255, (NUM_ROWS, 32, 32, 3)).astype(np.uint8)
    clips = pair_clips({"identity": (row % 3).astype(str), "video": np.full(NUM_ROWS, "")}, row // 3 % 2)
    settings = build({**SMALL, "resources.num_workers": distributed.world_size, "data.sampling": "paired"})
    task, results = Task("deepfake", "binary", ("real", "fake"), (15, 15), NUM_ROWS), []
    rows = ResidentRows([{"image": images, "label": row // 3 % 2, "row": row}])
    val = Share(distributed, seed=1, classes=2)
    fit(TrainingRun(settings, task, rows, val, distributed, keys=RowKeys(None, clips)), results.append)
    return [result.metrics["train/task_loss"] for result in results]


def test_two_workers_train_on_the_pairs_that_one_trains_on(two_workers):
    whole = _paired(ALONE, None)
    for worker in two_workers:
        assert worker["_paired"] == pytest.approx(whole, rel=2e-3)


def test_a_probe_waits_for_no_other_worker(two_workers):
    """Batch norm adds up over all workers in training. Here memory runs out on one of them only."""
    assert [worker["_probed"] for worker in two_workers] == [2, 2]


def test_an_error_of_one_worker_is_raised_on_both(two_workers):
    assert [worker["_failed"] for worker in two_workers] == 2 * ["FloatingPointError: of the second"]
    assert [worker["_failed_unsendably"] for worker in two_workers] == 2 * [
        "RuntimeError: TakesTwo: here: there",
    ]


def test_an_error_of_the_only_worker_keeps_its_cause():
    def find():
        raise microbatch.DoesNotFit("never") from KeyError("because")

    with pytest.raises(microbatch.DoesNotFit) as caught:
        microbatch.agreed(ALONE, find)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TakesTwo("here", "there")))


def test_a_worker_without_rows_ends_the_run_on_both(two_workers):
    for worker in two_workers:
        assert worker["_without_rows"].startswith("ConfigError: `data.train_fraction`"), worker["_without_rows"]


def test_a_run_without_rows_says_so():
    settings = build({**SMALL, "resources.num_workers": 1, "data.train_fraction": 1e-6})
    rows = ResidentRows([{"image": np.zeros((9, 32, 32, 3), np.uint8), "label": np.arange(9) % 3}])
    with pytest.raises(ConfigError, match=r"`data\.train_fraction` 1e-06 must leave every worker a row.*raise it"):
        fit(TrainingRun(settings, TASK, rows, rows, ALONE), lambda result: None)


def test_two_workers_that_were_killed_end_as_one_that_was_not(two_workers):
    """Norms are layer norms; sums are made in another order."""
    whole = []
    fit(run(ALONE), lambda result: whole.append(result.to_json()))
    measured = [name for name in whole[0] if name.startswith(("train/", "val/")) and name not in CLOCKED]
    for worker in two_workers:
        first, second, *resumed = worker["_killed"]
        for told, again in zip((first, second), resumed, strict=False):  # both may not have been fetched yet
            assert {name: told[name] for name in measured} == {name: again[name] for name in measured}
        for result, expected in zip(resumed, whole, strict=True):
            assert {name: result[name] for name in measured} == pytest.approx(
                {name: expected[name] for name in measured}, rel=2e-3
            )


def test_two_workers_keep_the_predictions_of_every_row_once_as_one_does(two_workers, tmp_path):
    fit(run(ALONE, tmp_path), lambda result: None)
    epoch, of_one = kept_in(tmp_path)
    (found_epoch, found), other = (worker["_kept"] for worker in two_workers)
    assert other == [found_epoch, found]
    assert found_epoch == epoch
    assert [row for row, _, _ in found] == list(range(NUM_ROWS))
    assert [label for _, label, _ in found] == [label for _, label, _ in of_one]
    expected = np.array([logits for _, _, logits in of_one])
    assert np.array([logits for _, _, logits in found]) == pytest.approx(expected, rel=2e-2, abs=2e-3)


def test_two_workers_train_a_part_of_a_backbone_as_one_does(two_workers):
    """Those norms alone that learn wait for the other worker."""
    whole = _tuned(ALONE, None)
    for worker in two_workers:
        for tune, results in worker["_tuned"].items():
            for result, expected in zip(results, whole[tune], strict=True):
                names = ("train/task_loss", "train/reconstruction_loss", "learning")
                assert [result[name] for name in names] == pytest.approx([expected[name] for name in names], rel=2e-3)


def test_two_workers_score_the_videos_that_one_scores(two_workers):
    whole = _scored_by_video(ALONE, None)
    for worker in two_workers:
        for result, expected in zip(worker["_scored_by_video"], whole, strict=True):
            assert result["val/score"] == result["val/auc"] != result["val/frame_auc"]
            measured = [name for name in expected if name.startswith("val/") and name not in CLOCKED]
            assert {name: result[name] for name in measured} == pytest.approx(
                {name: expected[name] for name in measured}, rel=1e-4
            )
