"""Work on many items on all nodes of a Ray cluster, in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lssat.data.parallel import Spread


def on_cluster(address: str) -> Spread:
    """Join a cluster that is up; the result does what `in_processes` does, on all its nodes.

    Ray Data bounds the items in flight by what its object store takes.
    """
    import ray

    from lssat.on_ray import driver, job

    package = Path(__file__).resolve().parent.parent
    runtime_env = job.beside({"py_modules": [str(package)]}, package.parent)
    driver.start(address, runtime_env=runtime_env, log_to_driver=False, logging_level="WARNING")
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False

    def spread(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        sent = [{"item": pickle.dumps(item)} for item in items]
        if not sent:
            return
        dataset = ray.data.from_items(sent, override_num_blocks=len(sent))
        for row in dataset.map(lambda row: {"done": pickle.dumps(function(pickle.loads(row["item"])))}).iter_rows():
            yield pickle.loads(row["done"])

    return spread
