"""Terms of the bound of a diffusion: the KL between two Gaussians, and the log-likelihood of the last reverse step."""

import math
from dataclasses import dataclass

import torch

from foldin.tensors import Float, Shaped, Tensor

__all__ = ["DiffusionBound", "log_gaussian", "reverse_kl"]

_LOG_2_PI = math.log(2 * math.pi)
_HALF_BIN = 1.0 / 255.0  # half the width of a level's bin in [−1, 1]
_LEAST = 1e-12


@dataclass(frozen=True)
class DiffusionBound:
    """Terms of the bound of each example, in nats: −log p(x) ≤ `prior + steps − reconstruction`.

    Args:
        prior: L_T.
        each: L_t−1 for t = 2 … T; with fewer draws, an estimate of the sum of L_t−1 over each of as many equal parts of 2 … T.
        reconstruction: −L_0 = log p(x_0 | x_1).
    """

    prior: Float[Tensor, " rows"]
    each: Float[Tensor, "rows draws"]
    reconstruction: Float[Tensor, " rows"]

    @property
    def steps(self) -> Float[Tensor, " rows"]:
        """Σ_{t>1} L_t−1 of each example, in nats."""
        return self.each.sum(dim=1)

    @property
    def bound(self) -> Float[Tensor, " rows"]:
        """Lower bound on log p(x) of each example, in nats."""
        return self.reconstruction - self.prior - self.steps


def reverse_kl(
    mean: Float[Tensor, "rows *shape"],
    log_variance: Float[Tensor, "..."],
    other: Float[Tensor, "rows *shape"],
    other_log_variance: Float[Tensor, "..."],
) -> Float[Tensor, " rows"]:
    """KL(N(mean, σ²) ‖ N(other, σ'²)) of each example, in nats, summed over its values."""
    log_ratio = other_log_variance - log_variance
    each = 0.5 * (log_ratio + torch.exp(-log_ratio) + (mean - other).square() * torch.exp(-other_log_variance) - 1.0)
    return each.flatten(1).sum(dim=1)


def _log_normal_cdf_difference(above: Tensor, below: Tensor) -> Tensor:
    """log(Φ(above) − Φ(below)) for above > below, computed in the smaller tail and no less than log 10⁻¹²."""
    flip = below + above > 0
    high, low = torch.where(flip, -below, above), torch.where(flip, -above, below)
    return torch.log((torch.special.ndtr(high) - torch.special.ndtr(low)).clamp(min=_LEAST))


def log_gaussian(
    values: Shaped[Tensor, "rows *shape"],
    clean: Float[Tensor, "rows *shape"],
    mean: Float[Tensor, "rows *shape"],
    log_variance: Float[Tensor, "..."],
) -> Float[Tensor, " rows"]:
    """log p(x_0 | x_1) of each example, in nats, summed over its values.

    For whole numbers 0–255 of type uint8, the probability of each level's bin in [−1, 1] under the Gaussian, with the outer bins
    extending to infinity and no probability below 10⁻¹² (as in the authors' code); for floats, the Gaussian's density.

    Args:
        values: x_0 as whole numbers or floats.
        clean: x_0 on the scale of the Gaussian: [−1, 1] for whole numbers.
        mean: of the Gaussian.
        log_variance: of the Gaussian.

    Source: ho2020, eq. 13.
    """
    if values.dtype != torch.uint8:
        each = -0.5 * (_LOG_2_PI + log_variance + (clean - mean).square() * torch.exp(-log_variance))
        return each.flatten(1).sum(dim=1)
    sharpness = torch.exp(-0.5 * log_variance)
    above = ((clean - mean + _HALF_BIN) * sharpness).masked_fill(values == 255, torch.inf)
    below = ((clean - mean - _HALF_BIN) * sharpness).masked_fill(values == 0, -torch.inf)
    return _log_normal_cdf_difference(above, below).flatten(1).sum(dim=1)
