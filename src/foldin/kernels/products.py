"""Large matrix products by the BLAS library that is faster on this processor.

PyTorch's CPU builds ship MKL, which runs at half speed on processors that are not Intel's; NumPy's wheels ship OpenBLAS, which
does not. Measured on an AMD EPYC with AVX-512 (2 threads, 500 × 600 × 20,108, fp32): MKL 190 GFLOP/s, OpenBLAS 400. The choice
depends on the processor alone, so that the same machine always gives the same bits.

OpenBLAS runs here on foldin's thread pool; see `threads.py`.
"""

import functools
from pathlib import Path

import numpy as np
import torch

from foldin.kernels.threads import on_threads, thread_count
from foldin.tensors import Float, Tensor

__all__ = ["matmul_into"]

_WORTH_IT = 1 << 26  # multiply-adds; for smaller products the overhead of the call dominates


@functools.cache
def _is_amd() -> bool:
    """Whether the processor is AMD's; False where the system does not say."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return any("AuthenticAMD" in next(lines, "") for _ in range(8))
    except OSError:
        return False


def _parts(out: np.ndarray, a: np.ndarray, b: np.ndarray, count: int) -> None:
    """Write a b into `out`, with the longest of the three dimensions cut into `count` parts for the threads."""
    (m, k), n = a.shape, b.shape[1]
    step = -(-max(m, k, n) // count)
    cuts = [slice(at, at + step) for at in range(0, max(m, k, n), step)]
    if n >= max(m, k):
        on_threads(lambda cut: np.matmul(a, b[:, cut], out=out[:, cut]), cuts)
    elif m >= k:
        on_threads(lambda cut: np.matmul(a[cut], b, out=out[cut]), cuts)
    else:
        # Summed in the order of the cuts, whichever thread finishes first, so that every run gives the same bits.
        first, *rest = on_threads(lambda cut: np.matmul(a[:, cut], b[cut]), cuts)
        np.copyto(out, first)
        for part in rest:
            out += part


def matmul_into(out: Float[Tensor, "m n"], a: Float[Tensor, "m k"], b: Float[Tensor, "k n"]) -> Float[Tensor, "m n"]:
    """`out`, overwritten with the product a b, which autograd does not record."""
    large = a.shape[0] * a.shape[1] * b.shape[1] >= _WORTH_IT
    if not (large and out.device.type == "cpu" and out.dtype in (torch.float32, torch.float64) and _is_amd()):
        return torch.mm(a.detach(), b.detach(), out=out)
    _parts(out.numpy(), a.detach().numpy(), b.detach().numpy(), 4 * thread_count())
    return out
