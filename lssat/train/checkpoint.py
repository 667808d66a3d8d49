"""Checkpoints: a folder with tensors (safetensors) and state (JSON), replaced as a whole. Nothing in it is ever
executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lssat.errors import UserError
from lssat.files import make_folder, sync, write_json

STATE = "state.json"
HALF_WRITTEN = ".tmp*"
"""What safetensors calls a file until it is whole; a kill leaves it behind."""
OPTIMIZER = "optimizer."


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read or does not fit. The message says how to go on."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that is not as it was written, or not there: its run must be trained anew. That the disk or the
    network fails to read it is no damage, but an OSError.
    """


def save(folder: Path, *, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Put a checkpoint in the place of the one in `folder`, if any. `state` is JSON.

    A kill at any moment, or a power cut, leaves the old checkpoint or the new one, whole: `state.json` names its tensor
    file and is replaced in one step, once everything it needs is on disk. A first checkpoint is written beside
    `folder`, which thus exists only whole. Where the disk is full nothing half-written stays. Raises OSError.
    """
    if folder.exists():
        _write(folder, tensors, state)
        return
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    try:
        _write(staging, tensors, state)
        os.replace(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync(folder.parent)


def load(folder: Path, only: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and state of a checkpoint, as they were written; of the tensors, those alone whose names
    begin with `only`. Where there are none, the large file is left unread. Raises DamagedCheckpoint, OSError.
    """
    repair = f"delete {folder} to start again, or copy the checkpoint anew from where it is whole"
    try:
        written = json.loads((folder / STATE).read_text(encoding="utf-8"))
        path, state = folder / written["tensors"], written["state"]
        if only and not _names_in(path, only):
            return {}, state
        if written.keys() != {"tensors", "state"}:  # earlier versions wrote no digests
            _compare(written["tensors_sha256"], _digest_of_file(path), path)
            _compare(written["state_sha256"], _digest_of_json(state), folder / STATE)
        return _read_tensors(path, only), state
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedCheckpoint(f"there is no whole checkpoint in {folder} ({error}); {repair}") from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"the checkpoint in {folder} is damaged ({error}); {repair}") from error


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """A safetensors file. Raises OSError, with its number, where safetensors has it in words only.

    Whoever may read other new files may read it too, though safetensors makes files for their owner alone.
    """
    path.touch()
    mode = path.stat().st_mode
    with _os_errors(path):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    if path.stat().st_mode != mode:  # not every file system knows modes
        path.chmod(mode)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as `optimizer.<index of the parameter>.<name>`, fit to be saved beside a model's."""
    state = optimizer.state_dict()["state"]
    return {
        f"{OPTIMIZER}{index}.{name}": tensor for index, tensors in state.items() for name, tensor in tensors.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `flatten_optimizer` gave; other tensors are passed over, learning rates and decays stay the
    optimizer's own.

    Raises CheckpointError where the tensors belong to another model.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if not key.startswith(OPTIMIZER):
            continue
        digits, name = key.removeprefix(OPTIMIZER).split(".", 1)
        index = int(digits)
        if index >= len(parameters) or (tensor.ndim > 0 and tensor.shape != parameters[index].shape):
            raise CheckpointError(
                f"optimizer state `{key}` does not fit the model; resume with the config that wrote the checkpoint"
            )
        if tensor.ndim:  # in the parameter's own memory format: fused AdamW walks both side by side
            tensor = torch.empty_like(parameters[index], dtype=tensor.dtype, device="cpu").copy_(tensor)
        state.setdefault(index, {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _write(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    path = folder / f"tensors-{secrets.token_hex(4)}.safetensors"
    try:
        write_tensors(tensors, path)
        sync(path)
        sync(folder)  # the file's name is on disk before anything refers to it
        digests = {"tensors_sha256": _digest_of_file(path), "state_sha256": _digest_of_json(state)}
        write_json(folder / STATE, {"tensors": path.name, **digests, "state": state})
    except BaseException:
        if not _names(folder / STATE, path.name):
            path.unlink(missing_ok=True)
        raise
    for stale in [*folder.glob("tensors-*.safetensors"), *folder.glob(HALF_WRITTEN)]:
        if stale.name != path.name:
            stale.unlink()


def _names(state: Path, name: str) -> bool:
    """Whether a state refers to this tensor file already: what failed came after it was replaced."""
    return state.exists() and name in state.read_text(encoding="utf-8", errors="replace")


def _names_in(path: Path, beginning: str) -> list[str]:
    """The names of the tensors in a file, which its header holds, that begin so."""
    if path.stat().st_size == 0:  # which safetensors takes for a failure of the system
        raise ValueError(f"{path.name} is empty")
    with _os_errors(path), safe_open(path, framework="pt") as file:
        names = file.keys()  # it is no mapping, which could be walked by itself
        return [name for name in names if name.startswith(beginning)]


def _read_tensors(path: Path, beginning: str) -> dict[str, Tensor]:
    names = _names_in(path, beginning)
    with _os_errors(path), safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in names}


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_json(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _compare(written: str, found: str, path: Path) -> None:
    if written != found:
        raise ValueError(f"{path.name} is not as it was written")


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    """Raise the OSError that safetensors tells of as text."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
