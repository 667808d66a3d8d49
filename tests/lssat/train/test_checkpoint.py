from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lssat.train import checkpoint
from lssat.train.checkpoint import CheckpointError, DamagedCheckpoint, flatten_optimizer, load, restore_optimizer, save

ROOT = Path(__file__).resolve().parents[3]
SAVE_FOR_EVER = """
import sys, torch
from pathlib import Path
from lssat.train.checkpoint import save
number = 0
while True:
    number += 1
    save(Path(sys.argv[1]), tensors={str(i): torch.full((50_000,), number) for i in range(4)}, state={"number": number})
    print(number, flush=True)
"""


def tensors_of(number: int) -> dict[str, Tensor]:
    return {"a": torch.full((4, 3), number), "b": torch.tensor(float(number))}


def test_round_trip(tmp_path: Path) -> None:
    tensors = {
        "float": torch.rand(3, 4),
        "half": torch.rand(5).bfloat16(),
        "int": torch.arange(3),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "strided": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "grad": nn.Parameter(torch.rand(2)),
    }
    state = {"epoch": 3, "best": float("-inf"), "config": {"optim": {"lr": 1e-3}}, "name": "größe", "none": None}
    save(tmp_path / "deep" / "last", tensors=tensors, state=state)
    loaded, loaded_state = load(tmp_path / "deep" / "last")
    assert loaded_state == state
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_tensors_are_for_those_who_may_read_other_new_files(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        for number in range(2):
            save(tmp_path / "last", tensors=tensors_of(number), state={"number": number})
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "last").iterdir()} == {
        "state.json": mode,
        next((tmp_path / "last").glob("tensors-*")).name: mode,
    }


def test_a_new_checkpoint_replaces_the_old_and_leaves_no_rubbish(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "last", tensors=tensors_of(number), state={"number": number})
    tensors, state = load(tmp_path / "last")
    assert state == {"number": 2} and tensors["b"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert len(list((tmp_path / "last").iterdir())) == 2


def test_an_empty_folder_that_exists_is_filled(tmp_path: Path) -> None:
    save(tmp_path, tensors=tensors_of(1), state={})
    assert load(tmp_path)[0]["b"] == 1


STEPS = [(os, "replace"), (os, "fsync"), (checkpoint, "save_file"), (json, "dumps")]


@pytest.mark.parametrize(("owner", "function"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_interrupted_before_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, function: str, call: int, first: bool
) -> None:
    """At whichever step a save stops, the old or the new checkpoint is there, whole, and the next save succeeds."""
    folder = tmp_path / "last"
    if not first:
        save(folder, tensors=tensors_of(1), state={"number": 1})
    with monkeypatch.context() as patch:
        stop_at(patch, owner, function, call)
        with contextlib.suppress(KeyboardInterrupt):
            save(folder, tensors=tensors_of(2), state={"number": 2})
    assert folder.exists() or first
    if folder.exists():
        tensors, state = load(folder)
        assert tensors["b"] == state["number"] and state["number"] in (1, 2)
    save(folder, tensors=tensors_of(3), state={"number": 3})
    assert load(folder)[1] == {"number": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["last"] and len(list(folder.iterdir())) == 2


def stop_at(patch: pytest.MonkeyPatch, owner: object, function: str, call: int) -> None:
    """Let the `call`-th call of a function raise instead."""
    original, calls = getattr(owner, function), iter(range(1, 100))

    def stopping(*args: object, **kwargs: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    patch.setattr(owner, function, stopping)


def test_killed_process_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    folder, moments = tmp_path / "last", random.Random(0)
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(3):
            assert child.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        written = [int(line) for line in child.stdout.read().split()]
        child.wait()
        child.stdout.close()
        tensors, state = load(folder)
        assert all((tensor == state["number"]).all() for tensor in tensors.values())
        assert state["number"] >= max(written, default=3)


def test_missing_checkpoints_name_the_repair(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no whole checkpoint in .*absent.*; delete .* or copy"):
        load(tmp_path / "absent")
    save(tmp_path / "last", tensors=tensors_of(1), state={})
    next((tmp_path / "last").glob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match=r"no whole checkpoint in .*last.*; delete"):
        load(tmp_path / "last")


@pytest.mark.parametrize("pattern", ["*.safetensors", "*.json"])
def test_damaged_checkpoints_name_the_repair(tmp_path: Path, pattern: str) -> None:
    save(tmp_path, tensors=tensors_of(1), state={})
    path = next(tmp_path.glob(pattern))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r"is damaged \(.*\); delete"):
        load(tmp_path)


@pytest.mark.parametrize("pattern", ["*.safetensors", "*.json"])
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, pattern: str) -> None:
    save(tmp_path, tensors=tensors_of(1), state={"epoch": 12345, "score": 0.625})
    path = next(tmp_path.glob(pattern))
    whole = path.read_bytes()
    harmless = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            tensors, state = load(tmp_path)
        except DamagedCheckpoint:
            continue
        harmless += 1  # white space between the words of the state
        assert state == {"epoch": 12345, "score": 0.625}
        assert all(torch.equal(tensors[name], tensor) for name, tensor in tensors_of(1).items())
    assert harmless < (1 if pattern == "*.safetensors" else len(whole) // 4)


def test_a_checkpoint_that_cannot_be_read_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, tensors=tensors_of(1), state={})

    def fails(*arguments: object, **options: object) -> None:
        raise SafetensorError("Error while deserializing: I/O error: Input/output error (os error 5)")

    monkeypatch.setattr(checkpoint, "safe_open", fails)
    with pytest.raises(OSError, match="Input/output error") as raised:
        load(tmp_path)
    assert raised.value.errno == errno.EIO


FILL = """
import resource, signal, sys, torch
from pathlib import Path
from lssat.train.checkpoint import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    save(Path(sys.argv[1]), tensors={"a": torch.ones(20_000)}, state={"text": "x" * 100_000})
except OSError as error:
    print(error.errno)
"""


@pytest.mark.parametrize("has_older", [False, True])
@pytest.mark.parametrize("limit", [10_000, 90_000], ids=["in the tensors", "in the state"])
def test_a_full_disk_is_an_error_of_the_system_and_leaves_nothing_half_written(
    tmp_path: Path, limit: int, has_older: bool
) -> None:
    """A limit on the size of files stands for the disk."""
    folder = tmp_path / "last"
    if has_older:
        save(folder, tensors=tensors_of(7), state={"epoch": 7})
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run([sys.executable, "-c", FILL, folder, str(limit)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == str(errno.EFBIG), done.stdout + done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    if has_older:
        assert load(folder)[1] == {"epoch": 7}


def test_foreign_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"epoch": 3}))
    with pytest.raises(CheckpointError, match="damaged"):
        load(tmp_path)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        model(torch.randn(8, 4, generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def make(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return model, torch.optim.AdamW(groups, lr=1e-2, fused=True)


def test_training_goes_on_from_a_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    straight, optimizer = make(0)
    train(straight, optimizer, 5, seed=1)
    weights = {f"model.{name}": tensor for name, tensor in straight.state_dict().items()}
    save(tmp_path / "last", tensors=weights | flatten_optimizer(optimizer), state={})
    train(straight, optimizer, 5, seed=2)

    resumed, optimizer = make(7)
    tensors, _ = load(tmp_path / "last")
    resumed.load_state_dict(
        {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    )
    restore_optimizer(optimizer, tensors)
    train(resumed, optimizer, 5, seed=2)
    for expected, actual in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, actual)


def test_optimizer_state_survives_the_file(tmp_path: Path) -> None:
    model, optimizer = make(0)
    train(model, optimizer, 3, seed=1)
    before = flatten_optimizer(optimizer)
    save(tmp_path / "last", tensors=before, state={})
    _, other = make(0)
    restore_optimizer(other, load(tmp_path / "last")[0])
    after = flatten_optimizer(other)
    assert before.keys() == after.keys() and len(before) == 3 * len(list(model.parameters()))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [group["weight_decay"] for group in other.param_groups] == [0.1, 0.0]


def test_an_optimizer_that_never_stepped_round_trips() -> None:
    _, optimizer = make(0)
    assert flatten_optimizer(optimizer) == {}
    restore_optimizer(optimizer, {"model.weight": torch.zeros(2)})


def test_state_of_another_model_is_refused() -> None:
    model, optimizer = make(0)
    train(model, optimizer, 1, seed=1)
    other = torch.optim.AdamW(nn.Linear(3, 3).parameters())
    with pytest.raises(CheckpointError, match=r"optimizer state `optimizer\.0\..*does not fit.*config"):
        restore_optimizer(other, flatten_optimizer(optimizer))
