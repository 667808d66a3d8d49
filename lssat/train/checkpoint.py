"""Checkpoints: a folder with tensors (safetensors) and state (JSON), replaced as a whole. Nothing in it is ever
executed.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lssat.errors import UserError
from lssat.files import make_folder, sync, write_json

STATE = "state.json"
OPTIMIZER = "optimizer."


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read or does not fit. The message says how to go on."""


def save(folder: Path, *, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Put a checkpoint in the place of the one in `folder`, if any. `state` is JSON.

    A kill at any moment, or a power cut, leaves the old checkpoint or the new one, whole: `state.json` names its tensor
    file and is replaced in one step, once everything it needs is on disk. A first checkpoint is written beside
    `folder`, which thus exists only whole.
    """
    if folder.exists():
        _write(folder, tensors, state)
        return
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    _write(staging, tensors, state)
    os.replace(staging, folder)
    sync(folder.parent)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and state of a checkpoint. Raises CheckpointError."""
    repair = f"delete {folder} to start again, or copy the checkpoint anew from where it is whole"
    try:
        manifest = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return load_file(folder / manifest["tensors"]), manifest["state"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"there is no whole checkpoint in {folder} ({error}); {repair}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"the checkpoint in {folder} is damaged ({error}); {repair}") from error


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
    name = f"tensors-{secrets.token_hex(4)}.safetensors"
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, folder / name)
    sync(folder / name)
    sync(folder)  # the file's name is on disk before anything refers to it
    write_json(folder / STATE, {"tensors": name, "state": state})
    for stale in folder.glob("tensors-*.safetensors"):
        if stale.name != name:
            stale.unlink()
