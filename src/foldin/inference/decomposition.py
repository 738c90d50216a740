"""Where the KL goes.

    E_x KL(q(z|x) ‖ p(z))  =  I_q(x; z)  +  TC(z)  +  Σ_j KL(q(z_j) ‖ p(z_j))

with the aggregate posterior q(z) = 1/N Σ_n q(z|x_n): the mutual information of person and code, the total correlation
of the code's dimensions, and how far each dimension's marginal is from the prior. ELBO surgery joins the last two:
I_q(n; z) + KL(q(z) ‖ p(z)), with I ≤ log N.

Source: chen2018 (β-TCVAE), eq. 2 and appendix C; hoffman2016 (ELBO surgery).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from foldin.errors import ShapeError
from foldin.inference.elbo import log_normal, log_normal_terms
from foldin.tensors import Float, Tensor

__all__ = ["KlDecomposition", "aggregate_log_density", "decompose_kl"]

METHODS = ("all", "stratified", "weighted")
_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class KlDecomposition:
    """The three terms and their sum, in nats, each an estimate from one draw of z a person.

    Args:
        mutual_information: I_q(x; z), at most log N.
        total_correlation: KL(q(z) ‖ Π_j q(z_j)).
        dimension_wise: KL(q(z_j) ‖ p(z_j)) of each latent dimension.
        kl: mean over people of log q(z|x) − log p(z): the three terms add up to it exactly.
        people: N.
        method: how q(z) was estimated.
    """

    mutual_information: float
    total_correlation: float
    dimension_wise: Float[Tensor, " latent"]
    kl: float
    people: int
    method: str

    @property
    def marginal_kl(self) -> float:
        """KL(q(z) ‖ p(z)) of ELBO surgery: total correlation and dimension-wise KL together."""
        return self.total_correlation + float(self.dimension_wise.sum())


def _log_weights(rows: int, start: int, batch: int, people: int, method: str) -> Float[Tensor, "rows batch"]:
    """Log weight of each component in the estimate of q(z) at the draws of people `start`, `start + 1`, …"""
    if method == "all":
        return torch.full((rows, batch), -math.log(batch), dtype=torch.float64)
    if method == "weighted":
        return torch.full((rows, batch), -math.log(batch * people), dtype=torch.float64)
    # Stratified: the own component counts 1/N, one other stands for N − M + 1 people, each further other for one.
    weights = torch.full((rows, batch), 1.0 / (batch - 1), dtype=torch.float64)
    own = torch.arange(start, start + rows)
    weights[torch.arange(rows), own] = 1.0 / people
    weights[torch.arange(rows), (own + 1) % batch] = (people - batch + 1) / (people * (batch - 1))
    return weights.log()


def aggregate_log_density(
    z: Float[Tensor, "people latent"],
    mu: Float[Tensor, "people latent"],
    logvar: Float[Tensor, "people latent"],
    *,
    people: int | None = None,
    method: str = "all",
) -> tuple[Float[Tensor, " people"], Float[Tensor, "people latent"]]:
    """(log q(z), log q(z_j)) at each person's draw, in nats.

    Args:
        z: a draw from each person's q(z|x).
        mu, logvar: of the same people, a batch of M.
        people: N, the people whose aggregate is meant; M when None.
        method: `all` takes the batch for everybody (exact for M = N); `weighted` is minibatch-weighted sampling, which
            is biased: its log q(z) is too low by about log N − log M, hence mutual information too high; `stratified` is
            minibatch-stratified sampling, unbiased for q(z) itself, biased only through the logarithm.

    Raises:
        ShapeError: M above N, a batch of one to stratify, or an unknown method.
    """
    batch = len(z)
    people = batch if people is None else people
    if method not in METHODS:
        raise ShapeError(f"method {method!r} is not one of {', '.join(METHODS)}")
    if batch > people or (method == "stratified" and batch < 2):
        raise ShapeError(f"a batch of {batch} people cannot stand for {people}")
    joint, marginals = [], []
    step = max(1, _ELEMENTS // (batch * z.shape[1]))
    for start in range(0, batch, step):
        part = z[start : start + step].double()
        terms = log_normal_terms(part.unsqueeze(1), mu.double().unsqueeze(0), logvar.double().unsqueeze(0))
        weights = _log_weights(len(part), start, batch, people, method).to(z.device)
        joint.append(torch.logsumexp(terms.sum(dim=-1) + weights, dim=1))
        marginals.append(torch.logsumexp(terms + weights.unsqueeze(-1), dim=1))
    return torch.cat(joint), torch.cat(marginals)


def decompose_kl(
    mu: Float[Tensor, "people latent"],
    logvar: Float[Tensor, "people latent"],
    generator: torch.Generator,
    *,
    draws: int = 1,
    people: int | None = None,
    method: str = "all",
    log_prior_terms: Callable[[Tensor], Tensor] | None = None,
) -> KlDecomposition:
    """The decomposition of the mean KL of a batch of people.

    Args:
        draws: of z for each person; the terms are averaged.
        people, method: see `aggregate_log_density`.
        log_prior_terms: log p(z_j) of each dimension at z; a standard normal when None.
    """
    total = None
    for _ in range(draws):
        noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        z = mu + torch.exp(0.5 * logvar) * noise
        own = log_normal(z.double(), mu.double(), logvar.double())
        joint, marginals = aggregate_log_density(z, mu, logvar, people=people, method=method)
        zero = torch.zeros_like(z, dtype=torch.float64)
        prior = log_normal_terms(z.double(), zero, zero) if log_prior_terms is None else log_prior_terms(z).double()
        parts = torch.cat(
            (
                (own - joint).mean().reshape(1),
                (joint - marginals.sum(dim=1)).mean().reshape(1),
                (marginals - prior).mean(dim=0),
            )
        )
        total = parts / draws if total is None else total + parts / draws
    assert total is not None
    return KlDecomposition(
        mutual_information=float(total[0]),
        total_correlation=float(total[1]),
        dimension_wise=total[2:].cpu(),
        kl=float(total.sum()),
        people=len(mu) if people is None else people,
        method=method,
    )
