"""Losses of predicting the next item from sampled negatives: each a mean over tokens, in nats.

Scores are inner products s = ⟨h, w⟩ of a token's state and an item's vector. The full softmax, which needs no samples, is
in `kernels/cross_entropy.py`.
"""

import math

import torch
from torch.nn import functional as F

from foldin.kernels import at_least_float32, product_format
from foldin.models.sequential._sampled_scores import sampled_scores
from foldin.tensors import Float, Int, Tensor

__all__ = ["binary_loss", "calibration", "sampled_softmax_loss"]


def calibration(t: float, negatives: int, n_items: int) -> float:
    """gBCE's exponent β of the positive's probability: 1 at t = 0 (plain BCE), the sampling rate α at t = 1.

        β = α (t (1 − 1/α) + 1/α),   α = negatives ÷ (items − 1)

    Source: petrov2023, eq. 16.
    """
    alpha = negatives / max(n_items - 1, 1)
    return alpha * (t * (1.0 - 1.0 / alpha) + 1.0 / alpha)


def binary_loss(
    hidden: Float[Tensor, "tokens width"],
    weight: Float[Tensor, "items width"],
    targets: Int[Tensor, " tokens"],
    negatives: Int[Tensor, "tokens k"],
    beta: float = 1.0,
) -> Float[Tensor, ""]:
    """−β log σ(s of the target) − Σ log(1 − σ(s of a negative)).

    Source: kang2018, eq. 8, with one negative and β = 1; petrov2023, eq. 12 (gBCE) with `calibration`.
    """
    scores = sampled_scores(hidden, weight, torch.cat((targets.unsqueeze(1), negatives), dim=1))
    return (beta * F.softplus(-scores[:, 0]) + F.softplus(scores[:, 1:]).sum(dim=1)).mean()


def sampled_softmax_loss(
    hidden: Float[Tensor, "tokens width"],
    weight: Float[Tensor, "items width"],
    targets: Int[Tensor, " tokens"],
    negatives: Int[Tensor, " k"],
    log_expected: Float[Tensor, " k"],
) -> Float[Tensor, ""]:
    """−s_y + log(e^{s_y} + Σ_j e^{s_j} / E_j), over negatives shared by all tokens, those equal to the target left out.

    E_j is how often item j is expected among the negatives of a token that has another target, k q_j for k draws from q and
    (n − 1) q_j for the targets of n tokens: the sum estimates that over all items but the target, without bias (the "log-Q
    correction").

    Args:
        log_expected: log E_j of each negative.

    Source: bengio2008 (importance sampling of the partition function); the target itself is in the sum for certain and
    takes no correction (khrylchenko2025).
    """
    positive = (hidden * weight[targets]).sum(dim=1, keepdim=True)
    if product_format(hidden) is None:
        scores = torch.addmm(-log_expected, hidden, weight[negatives].t())
    else:
        scores = at_least_float32(hidden @ weight[negatives].t()) - log_expected  # the correction is not rounded
    scores = scores.masked_fill(negatives == targets.unsqueeze(1), -math.inf)
    return (torch.logsumexp(torch.cat((positive, scores), dim=1), dim=1) - positive.squeeze(1)).mean()
