"""What the machine is, and how fast it multiplies matrices."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import timm
import torch

from tests.benchmarks.performance.timing import interleaved

SHAPES = ((2048, 2048, 2048), (1568, 768, 3072), (3152, 768, 768), (1024, 3072, 768))
"""(M, K, N) of the products that are tried; the fastest is the peak."""
FACTOR_ON_GPU = 4


class Product(NamedTuple):
    """A matrix product and its floating-point operations."""

    run: Callable[[], object]
    flops: float


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16() -> bool:
    """Whether the processor itself multiplies in bfloat16: elsewhere it is emulated, and slow."""
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capability = torch.cpu.get_capabilities()
    return bool(capability.get("amx_bf16") or capability.get("avx512_bf16"))


@lru_cache
def peak(dtype: torch.dtype) -> Product:
    """The product that runs at most operations a second here; it is timed anew beside each step."""
    factor = FACTOR_ON_GPU if device().type == "cuda" else 1
    products = {str(shape): _product(*(factor * side for side in shape), dtype) for shape in SHAPES}
    times = interleaved({name: product.run for name, product in products.items()}, 1)
    best = max(products, key=lambda name: products[name].flops / times.median(name))
    return products[best]


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def processor() -> str:
    """The name of the GPU or the processor, the instructions that matter, and the cores in use."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    capability = torch.cpu.get_capabilities()
    best = [kind for kind in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if capability.get(kind)][:1]
    return f"{name}, {' '.join(best) or 'no vector extensions'}, {torch.get_num_threads()} threads"


def versions() -> str:
    """Of what the step runs on."""
    return f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}"


def _product(rows: int, inner: int, columns: int, dtype: torch.dtype) -> Product:
    left = torch.randn(rows, inner, device=device(), dtype=dtype)
    right = torch.randn(columns, inner, device=device(), dtype=dtype)
    return Product(lambda: torch.nn.functional.linear(left, right), 2.0 * rows * inner * columns)
