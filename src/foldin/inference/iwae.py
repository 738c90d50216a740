"""The importance-weighted (IWAE) bound on log p(x), which approaches log p(x) as the number of draws grows.

L_k = E[log 1/k Σ_i w_i],   w_i = p(x, z_i) / q(z_i|x),   ELBO = L_1 ≤ L_2 ≤ … → log p(x)
"""

import math

import torch

from foldin.errors import ShapeError
from foldin.inference.arguments import check_count
from foldin.tensors import Float, Tensor

__all__ = ["iwae_bound", "iwae_curve"]


def iwae_bound(log_weights: Float[Tensor, "samples users"]) -> Float[Tensor, " users"]:
    """log-mean-exp of each user's log weights, in nats: one estimate of the bound with k = `samples`.

    Source: burda2016, eq. 8.

    Raises:
        ShapeError: no draws.
    """
    if len(log_weights) == 0:
        raise ShapeError("a bound needs at least one draw, there are none")
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


def iwae_curve(log_weights: Float[Tensor, "samples users"], ks: tuple[int, ...]) -> dict[int, Float[Tensor, " users"]]:
    """k → each user's bound in nats, averaged over disjoint groups of k of the same draws.

    All k share the same draws, so that the curve is smooth; in expectation it does not fall with k.

    Raises:
        ShapeError: fewer draws than the largest k.
        ConfigError: a k below 1.
    """
    draws = len(log_weights)
    curve = {}
    for k in ks:
        check_count("k", k, 1)
        groups = draws // k
        if groups == 0:
            raise ShapeError(f"a bound with k = {k} needs {k} draws, there are {draws}")
        grouped = log_weights[: groups * k].view(groups, k, -1)
        curve[k] = (torch.logsumexp(grouped, dim=1) - math.log(k)).mean(dim=0)
    return curve
