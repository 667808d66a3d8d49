"""A process that is one of two workers."""

import datetime
from contextlib import contextmanager

import torch
import torch.distributed as dist

from lssat.train.distributed import Distributed

TIMEOUT = datetime.timedelta(seconds=60)


@contextmanager
def one_of_two(rank, folder):
    """Within, this process works with another one, which it meets in the folder; on one thread of the CPU."""
    torch.set_num_threads(1)
    meet = f"file://{folder / 'meet'}"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2, timeout=TIMEOUT)
    yield Distributed(torch.device("cpu"), rank, 2)
    dist.destroy_process_group()
