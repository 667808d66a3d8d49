"""Work on many items on all nodes of a Ray cluster, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

CHUNK = 32  # items of one task
WAITING = 2  # tasks per core that are asked for ahead of those whose results are taken: what bounds the memory


def on_cluster(address: str) -> Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]:
    """Join a cluster that is up; the result does what `in_threads` does, by tasks of that cluster."""
    import ray

    package = Path(__file__).resolve().parent.parent
    ray.init(address, runtime_env={"py_modules": [str(package)]}, log_to_driver=False, logging_level="WARNING")

    def spread(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        task = ray.remote(lambda chunk: [function(item) for item in chunk])
        most = WAITING * int(ray.cluster_resources().get("CPU", 1))
        remaining, waiting = iter(items), deque[Any]()
        while chunk := list(islice(remaining, CHUNK)):
            waiting.append(task.remote(chunk))
            if len(waiting) >= most:
                yield from ray.get(waiting.popleft())
        while waiting:
            yield from ray.get(waiting.popleft())

    return spread
