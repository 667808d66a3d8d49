"""Memory that does not suffice: micro-batches are halved, nothing else changes, and what never fits says so."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ray.exceptions import OutOfMemoryError
from ray.train import WorkerGroupError
from timm.models.resnet import BasicBlock
from timm.models.vision_transformer import VisionTransformer

from lssat.config import build
from lssat.data.prepared.rows import ResidentRows
from lssat.on_ray.lost import is_lost_to_memory
from lssat.storage.place import Place
from lssat.task import Task
from lssat.train import loop, microbatch
from lssat.train.checkpoint import load
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.microbatch import DoesNotFit, cut
from lssat.train.result import CLOCKED

ROOT = Path(__file__).resolve().parents[3]
TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
CPU = Distributed(torch.device("cpu"))
KILLED = """
import os, signal, sys
sys.path.insert(0, "tests/lssat/train")
from test_microbatch import train, config
from pathlib import Path
train(config(), Path(sys.argv[1]), at_epoch=lambda epoch: os.kill(os.getpid(), signal.SIGKILL))
"""


def config(**settings):
    small = {
        "backbone.name": "test_vit",
        "backbone.patch_size": 8,
        "data.image_size": 32,
        "masking.unit": 8,
        "decoder.dim": 32,
    }
    return build(
        {
            **small,
            "optim.epochs": 2,
            "optim.warmup_epochs": 0.5,
            "optim.batch_size": 8,
            "optim.precision": "float32",
            **settings,
        }
    )


def rows(num_rows=24, seed=0):
    random = np.random.default_rng(seed)
    return ResidentRows(
        [{"image": random.integers(0, 255, (num_rows, 32, 32, 3)).astype(np.uint8), "label": np.arange(num_rows) % 3}]
    )


def train(settings, folder=None, at_epoch=lambda epoch: None, num_rows=24):
    results = []

    def report(result):
        results.append({key: value for key, value in result.to_json().items() if key not in CLOCKED})
        at_epoch(result.epoch)

    fit(TrainingRun(settings, TASK, rows(num_rows), rows(12, seed=1), CPU, folder), report)
    return results


@pytest.fixture
def device(monkeypatch):
    """A device whose memory holds `device.rows` rows of a backbone's activations, in evaluation `device.evaluated`."""

    class Device:
        rows = evaluated = 10**6

    forward = VisionTransformer._pos_embed

    def limited(self, x):
        if len(x) > (Device.rows if torch.is_grad_enabled() else Device.evaluated):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x)

    monkeypatch.setattr(VisionTransformer, "_pos_embed", limited)
    return Device


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_out_of_memory_is_the_run_with_smaller_micro_batches(tmp_path, device, kept):
    expected = train(config(**{"optim.accumulate": 4}))
    device.rows = 3
    results = train(config(), tmp_path if kept else None)
    assert [result["micro_batches"] for result in results] == [4, 4]
    assert results == expected
    if kept:
        assert load(tmp_path / "last")[1]["config"]["optim"]["accumulate"] == 1
        assert train(config(), tmp_path) == results[-1:], "the same config goes on from it"


def test_memory_that_runs_out_in_a_later_epoch_is_gone_on_from_the_last_checkpoint(tmp_path, device):
    def shrink(epoch):
        device.rows = 5

    results = train(config(**{"optim.epochs": 3}), tmp_path, shrink)
    reported = [(result["epoch"], result["micro_batches"]) for result in results]
    assert reported == [(1, 1), (1, 1), (2, 2), (3, 2)], "the epoch that is gone on from is reported again"


def test_evaluation_runs_out_of_memory_too(device):
    device.evaluated = 4
    assert [result["micro_batches"] for result in train(config())] == [2, 2]


@pytest.mark.parametrize(("settings", "least"), [({}, 1), ({"augment.mixup": 0.4}, 2)])
def test_what_never_fits_says_so(tmp_path, device, settings, least):
    device.rows = least - 1
    with pytest.raises(DoesNotFit, match=r"`data\.image_size` 32.*`optim\.batch_size` 8.*smaller"):
        train(config(**settings), tmp_path)
    device.rows = least
    assert train(config(**settings), tmp_path)[-1]["micro_batches"] == 8 // least


def test_batch_norm_needs_two_rows_and_says_so(monkeypatch):
    """Maps of one pixel: the last stage of a backbone with batch norm at 32 pixels."""
    forward = BasicBlock.forward

    def limited(self, x):
        if torch.is_grad_enabled() and len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x)

    monkeypatch.setattr(BasicBlock, "forward", limited)
    with pytest.raises(DoesNotFit, match="two rows, which batch norm needs"):
        train(config(**{"backbone.name": "resnet18", "backbone.patch_size": None, "auxiliary": False}))


def test_other_errors_are_not_taken_for_it(monkeypatch):
    forward = VisionTransformer._pos_embed

    def broken(self, x):
        if torch.is_grad_enabled():
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return forward(self, x)

    monkeypatch.setattr(VisionTransformer, "_pos_embed", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        train(config())


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_a_probe_leaves_no_trace(tmp_path, monkeypatch, backbone):
    """Weights, running statistics and losses of the run are to the bit those without one."""
    patch = 8 if backbone == "test_vit" else None
    settings = config(
        **{
            "backbone.name": backbone,
            "backbone.patch_size": patch,
            "backbone.drop_path_rate": 0.2,
            "augment.mixup": 0.4,
        }
    )
    expected = train(settings, tmp_path / "without")
    monkeypatch.setattr(loop, "has_own_memory", lambda device: True)
    assert train(settings, tmp_path / "with") == expected
    with_, without = (load(tmp_path / name / "last")[0] for name in ("with", "without"))
    assert with_.keys() == without.keys()
    assert all(torch.equal(with_[name], without[name]) for name in with_)


def test_a_probe_finds_the_largest_micro_batch_before_the_first_step(tmp_path, monkeypatch, device):
    monkeypatch.setattr(loop, "has_own_memory", lambda device: True)
    expected = train(config(**{"optim.accumulate": 4}))
    device.rows = 2
    assert train(config(), tmp_path) == expected
    device.rows = 0
    with pytest.raises(DoesNotFit):
        train(config(), tmp_path / "never")


def test_micro_batches_differ_by_a_row_at_most_and_keep_pairs():
    assert [part.stop - part.start for part in cut(config(), 10, 10, 4)] == [2, 3, 2, 3]
    assert [part.stop - part.start for part in cut(config(**{"augment.mixup": 0.4}), 12, 12, 4)] == [2, 4, 2, 4]
    assert [(part.start, part.stop) for part in cut(config(), 8, 8, 2)] == [(0, 4), (4, 8)]


@pytest.mark.parametrize("mixup", [0, 0.4])
def test_a_short_batch_is_cut_into_few_micro_batches_none_larger_than_those_of_a_whole_one(mixup):
    settings = config(**{"augment.mixup": mixup})
    for size, number in ((8, 1), (8, 2), (8, 4), (10, 4), (12, 5), (24, 12)):
        largest = max(part.stop - part.start for part in cut(settings, size, size, number))
        for num_rows in range(size + 1):
            parts = cut(settings, num_rows, size, number)
            assert [row for part in parts for row in range(num_rows)[part]] == list(range(num_rows))
            assert all(0 < part.stop - part.start <= largest for part in parts)
            assert len(parts) <= number and not (mixup and any(part.start % 2 for part in parts))
    assert [(part.start, part.stop) for part in cut(config(), 5, 8, 2)] == [(0, 2), (2, 5)]


def test_a_run_whose_process_was_killed_for_memory_goes_on_with_more(tmp_path):
    train(config(), tmp_path)
    microbatch.halve_rows(Place.of(tmp_path), config())
    assert microbatch.begin(tmp_path, config(), {}) == 2
    for _ in range(2):
        microbatch.halve_rows(Place.of(tmp_path), config())
    assert microbatch.begin(tmp_path, config(), {}) == 8
    microbatch.halve_rows(Place.of(tmp_path), config())
    with pytest.raises(DoesNotFit):
        train(config(), tmp_path)


def test_a_process_that_died_before_its_first_step_is_halved_as_well(tmp_path):
    microbatch.halve_rows(Place.of(tmp_path / "new"), config())
    assert [result["micro_batches"] for result in train(config(), tmp_path / "new")] == [2, 2]


@pytest.mark.parametrize(("kills", "expected"), [(7, 1), (8, 2)])
def test_a_plain_kill_changes_nothing_and_a_kill_for_memory_does(tmp_path, monkeypatch, kills, expected):
    """What differs is whether the system counts one more process that it has killed for memory."""
    monkeypatch.setattr(microbatch, "memory_kills", lambda: {"here": kills})
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "run"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = json.loads((tmp_path / "run" / microbatch.FILE).read_text())
    assert kept["micro_batches"] == 1 and kept["memory_kills"] == kills_of_this_machine()
    microbatch.AttemptRecord(tmp_path / "run", {"here": 7}).keep(1)
    assert [result["micro_batches"] for result in train(config(), tmp_path / "run")] == [1, expected]


def kills_of_this_machine():
    code = "import json; from lssat.train.microbatch import memory_kills; print(json.dumps(memory_kills()))"
    return json.loads(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout)


def test_an_attempt_that_ended_by_itself_was_not_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(microbatch, "memory_kills", lambda: {"here": 1})
    with pytest.raises(KeyboardInterrupt):
        train(config(), tmp_path, lambda epoch: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(microbatch, "memory_kills", lambda: {"here": 2})
    assert train(config(), tmp_path)[-1]["micro_batches"] == 1


def test_a_group_that_lost_a_worker_to_memory_is_told_from_one_that_lost_it_otherwise():
    plain, memory = (
        RuntimeError("connection reset by peer"),
        OutOfMemoryError("Task was killed due to the node running low on memory."),
    )
    assert is_lost_to_memory(WorkerGroupError("lost", {0: plain, 1: memory}))
    assert is_lost_to_memory(WorkerGroupError("lost", {0: plain, 1: torch.OutOfMemoryError("CUDA out of memory.")}))
    assert not is_lost_to_memory(WorkerGroupError("lost", {0: plain}))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")
def test_a_real_allocation_that_is_refused(tmp_path):
    """The process may address little more than it does: the allocator refuses a batch of 2,048 and the run goes on with
    fewer rows at once.
    """
    code = f"""
import resource, sys
sys.path.insert(0, "tests/lssat/train")
import torch
from test_microbatch import train, config
torch.set_num_threads(1)
train(config())
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {600 << 20}, -1))
settings = config(**{{"optim.batch_size": 2048, "optim.epochs": 1, "optim.warmup_epochs": 0}})
print(train(settings, num_rows=2048)[-1]["micro_batches"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1
