"""Where a worker stands, and a batch that is brought there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lssat.data.prepared.rows import Batch, Rows


@dataclass(frozen=True)
class Place:
    """Where this worker stands."""

    device: torch.device
    rank: int = 0
    world: int = 1

    def sum(self, value: Tensor) -> Tensor:
        """Sum over all workers, the same on each."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def share_buffers(self, model: nn.Module) -> None:
        """Give every worker the running statistics of the first, which are the ones that are saved."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def gather(self, value: Any) -> list[Any]:
        """The objects of all workers, in rank order, on each."""
        if self.world == 1:
            return [value]
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, value)
        return parts


def num_steps(rows: Rows, size: int, place: Place) -> int:
    """Batches per epoch: as many as the worker with most rows needs."""
    steps: list[int] = place.gather(-(-rows.num_rows // size))
    return max(steps)


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """`image` float [B,3,H,W] in [0,1] (stored channels-last), `label`, `weight`, on the device."""
    image = torch.from_numpy(batch.image).to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    return image, torch.from_numpy(batch.label).to(device), torch.from_numpy(batch.weight).to(device)
