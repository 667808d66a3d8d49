"""The workers of a run: this one's device and rank, what they tell each other, and batches brought to the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lssat.data.prepared.ahead import one_ahead
from lssat.data.prepared.rows import Batch, Rows
from lssat.inputs.sending import sent


@dataclass(frozen=True)
class Distributed:
    """One worker among `world_size`, by default the only one. Several need torch's process group to be set up."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @classmethod
    def alone(cls) -> Distributed:
        """The only worker, on a GPU where there is one."""
        return cls(torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def sum(self, value: Tensor) -> Tensor:
        """Sum over all workers, the same on each."""
        if self.world_size == 1:
            return value
        total = value.clone()  # the sum is made in place
        dist.all_reduce(total)
        return total

    def share_buffers(self, model: nn.Module) -> None:
        """Give every worker the running statistics of the first, which are the ones that are saved."""
        if self.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def gather(self, value: Any) -> list[Any]:
        """The objects of all workers, in rank order, on each."""
        if self.world_size == 1:
            return [value]
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, value)
        return parts


def num_steps(rows: Rows, size: int, distributed: Distributed) -> int:
    """Batches of `size` rows per epoch: as many as the worker with most rows needs."""
    steps: list[int] = distributed.gather(-(-rows.num_rows // size))
    return max(steps)


def fed(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches as a device takes them best. For a GPU a thread gathers each one step ahead, in pinned memory, so
    that `to_device` has nothing left to do but ask for the copy. A CPU computes on the cores that such a thread would
    need: it gets them as they are.
    """
    return one_ahead(map(_pinned, batches)) if device.type == "cuda" else batches


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """`image` float [B,3,H,W] in [0,1] (stored channels-last), `label` [B] or [B,K], on the device."""
    image, label = (sent(torch.from_numpy(part), device) for part in (batch.image, batch.label))
    return image.permute(0, 3, 1, 2).float() / 255, label


def _pinned(batch: Batch) -> Batch:
    """The same in memory that a GPU copies from by itself."""
    image, label = (torch.from_numpy(part).pin_memory().numpy() for part in (batch.image, batch.label))
    return batch._replace(image=image, label=label)
