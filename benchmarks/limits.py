"""What the machine can do at best, measured beside what is compared with it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["gemm_seconds", "seconds"]


def seconds(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> float:
    """Median wall time of one call."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _torch_mm(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.mm(a, b, out=out)


def _numpy_mm(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return np.matmul(a.numpy(), b.numpy(), out=out.numpy())


def gemm_seconds(users: int, hidden: int, items: int, repeats: int = 7) -> dict[str, dict[str, float]]:
    """Library → seconds of the three products of a last layer into existing memory: forward, gradients of weight, input.

    `torch` is PyTorch's own BLAS, `numpy` NumPy's with its own threads; `best` takes the faster for each product. A
    machine's limit is what its fastest BLAS can do, whoever ships it.
    """
    h, weight = torch.randn(users, hidden), torch.randn(items, hidden)
    logits, grad_weight, grad_h = torch.empty(users, items), torch.empty(items, hidden), torch.empty(users, hidden)
    products = {
        "forward": (logits, h, weight.t()),
        "weight": (grad_weight, logits.t(), h),
        "input": (grad_h, logits, weight),
    }
    found = {
        library: {name: seconds(lambda mm=mm, p=p: mm(*p), repeats) for name, p in products.items()}
        for library, mm in (("torch", _torch_mm), ("numpy", _numpy_mm))
    }
    return found | {"best": {name: min(one[name] for one in found.values()) for name in products}}
