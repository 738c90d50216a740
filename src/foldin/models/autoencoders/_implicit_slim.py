"""ImplicitSLIM: item embeddings refined by a sparse linear model of items that is never computed explicitly.

A SLIM-like model would be B ∝ (XᵀX + λI)⁻¹; embeddings that it reconstructs, Q ≈ QB, contain its information. With
the inverse approximated by D = diag(1/(Xᵀ1 + λ)) and B restricted to the span of the embeddings A, everything becomes
products of an embedding matrix with XᵀX:

    G = XᵀX + λI,   N = A G D² G,   Q' = α Q Aᵀ (N − N Aᵀ (I/α + N Aᵀ)⁻¹ N)

Source: shenbin2024, algorithm 1 and the authors' code. Departure: float32 where their code keeps A in float16.
"""

import numpy as np
import torch

from foldin.data import Histories
from foldin.tensors import Float, Tensor

__all__ = ["implicit_slim"]


def implicit_slim(
    embeddings: Float[Tensor, "items latent"],
    train: Histories,
    *,
    regularization: float,
    strength: float,
    min_count: int = 0,
) -> Float[Tensor, "items latent"]:
    """New embeddings of all items.

    Args:
        embeddings: embeddings of the items, one row each.
        train: the log X.
        regularization: λ > 0.
        strength: α > 0, strength of the reconstruction.
        min_count: items with fewer events are excluded from the span A.
    """
    rows = train.csr()
    counts = train.counts().astype(np.float32)
    Q = embeddings.detach().cpu().numpy()
    A = np.where((counts >= min_count)[:, None], Q, np.float32(0.0))

    def gram(values: np.ndarray) -> np.ndarray:
        return rows.T @ (rows @ values) + np.float32(regularization) * values

    D = 1.0 / (counts + np.float32(regularization))
    N = gram(gram(A) * (D * D)[:, None])
    inner = N.T @ A  # N Aᵀ in the paper's orientation: latent × latent
    core = N - N @ np.linalg.solve(np.eye(len(inner), dtype=np.float32) / strength + inner, inner).T
    found = strength * (core @ (A.T @ Q))
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)).to(embeddings.device)
