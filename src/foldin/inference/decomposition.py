"""Decomposition of the mean KL to the prior: mutual information, total correlation, and dimension-wise KL, in nats.

    E_x KL(q(z|x) ‖ p(z))  =  I_q(x; z)  +  TC(z)  +  Σ_j KL(q(z_j) ‖ p(z_j))

with the aggregate posterior q(z) = 1/N Σ_n q(z|x_n): the mutual information of user and code, the total correlation
of the code's dimensions, and the divergence of each dimension's marginal from the prior. ELBO surgery combines the last two:
I_q(n; z) + KL(q(z) ‖ p(z)), with I ≤ log N.

Methods of estimating q(z), at draws of a batch of M of the N users:

    all         M = N: the exact aggregate. Each draw of the information is at most log N, since q(z) ≥ q(z|x_n) / N at a draw z
                of user n.
    stratified  weight 1/N for the user's q and (N − 1)/(N (M − 1)) for the q of each other user of the batch: unbiased for q(z),
                so that by Jensen's inequality log q(z) is too low and the information too high, but never above log N. It is
                the exact aggregate if M = N.
    weighted    1/(N M) Σ over the batch: the aggregate of the batch, as if the batch were the whole data set, divided by N. Its
                terms are those of the batch, with log N added to the information, (D − 1) log N added to the total correlation,
                and D log N subtracted from the dimension-wise KL. These constants do not affect gradients, but the values say
                nothing about users: the information lies between log N and log N + log M whatever the code is.

The sum of the three terms is the same for all three.

Source: chen2018 (β-TCVAE), eq. 2, appendices C.1 (weighted) and C.2 (stratified); hoffman2016 (ELBO surgery).

Departure from the paper: there, one of the other users of the batch stands for N − M + 1 users, and each of the rest for one.
That choice is arbitrary; here the estimate is averaged over it, which keeps its mean, lowers its variance and thereby the bias
by Jensen's inequality, and is exact for M = N.
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
    """The three terms and their sum, in nats, each a mean over draws of z.

    Args:
        mutual_information: I_q(x; z), at most log N (except by the method `weighted`).
        total_correlation: KL(q(z) ‖ Π_j q(z_j)).
        dimension_wise: KL(q(z_j) ‖ p(z_j)) of each latent dimension.
        kl: mean over users of log q(z|x) − log p(z): the three terms add up to it exactly.
        users: number of users, N.
        method: method by which q(z) was estimated.
    """

    mutual_information: float
    total_correlation: float
    dimension_wise: Float[Tensor, " latent"]
    kl: float
    users: int
    method: str

    @property
    def marginal_kl(self) -> float:
        """KL(q(z) ‖ p(z)) of ELBO surgery, in nats: the sum of total correlation and dimension-wise KL."""
        return self.total_correlation + float(self.dimension_wise.sum())


def _log_weights(rows: int, start: int, batch: int, users: int, method: str) -> Float[Tensor, "rows batch"]:
    """Log weight of each component in the estimate of q(z) at the draws of users `start`, `start + 1`, …"""
    if method == "all":
        return torch.full((rows, batch), -math.log(batch), dtype=torch.float64)
    if method == "weighted":
        return torch.full((rows, batch), -math.log(batch * users), dtype=torch.float64)
    weights = torch.full((rows, batch), (users - 1) / (users * max(1, batch - 1)), dtype=torch.float64)
    weights[torch.arange(rows), torch.arange(start, start + rows)] = 1.0 / users
    return weights.log()


def _method(method: str | None, batch: int, users: int) -> str:
    """The given method, or the default for a batch of this size."""
    return method or ("all" if batch == users else "stratified")


def aggregate_log_density(
    z: Float[Tensor, "users latent"],
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    *,
    users: int | None = None,
    method: str | None = None,
) -> tuple[Float[Tensor, " users"], Float[Tensor, "users latent"]]:
    """(log q(z), log q(z_j) of each latent dimension) at each user's draw, in nats.

    Args:
        z: a draw from each user's q(z|x).
        mu, logvar: parameters of q(z|x) of the same users, a batch of M.
        users: number of users in the aggregate, N; M if None.
        method: `all`, `stratified` or `weighted`, as in the module's docstring. By default `all` if the batch is the whole
            data set, and `stratified` otherwise.

    Raises:
        ShapeError: M above N, a stratified batch of one user for N > 1, `all` with M below N, or an unknown method.
    """
    batch = len(z)
    users = batch if users is None else users
    method = _method(method, batch, users)
    if method not in METHODS:
        raise ShapeError(f"method {method!r} is not one of {', '.join(METHODS)}")
    if batch > users or (method == "stratified" and batch < min(2, users)) or (method == "all" and batch < users):
        raise ShapeError(f"a batch of {batch} users cannot stand for {users} by the method {method!r}")
    joint, marginals = [], []
    step = max(1, _ELEMENTS // (batch * z.shape[1]))
    for start in range(0, batch, step):
        part = z[start : start + step].double()
        terms = log_normal_terms(part.unsqueeze(1), mu.double().unsqueeze(0), logvar.double().unsqueeze(0))
        weights = _log_weights(len(part), start, batch, users, method).to(z.device)
        joint.append(torch.logsumexp(terms.sum(dim=-1) + weights, dim=1))
        marginals.append(torch.logsumexp(terms + weights.unsqueeze(-1), dim=1))
    return torch.cat(joint), torch.cat(marginals)


def decompose_kl(
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    generator: torch.Generator,
    *,
    draws: int = 1,
    users: int | None = None,
    method: str | None = None,
    log_prior_terms: Callable[[Tensor], Tensor] | None = None,
) -> KlDecomposition:
    """The decomposition of the mean KL of a batch of users, in nats.

    Args:
        draws: number of draws of z for each user, over which the terms are averaged.
        users, method: see `aggregate_log_density`.
        log_prior_terms: z → log p(z_j) of each dimension; a standard normal if None.
    """
    total = None
    for _ in range(draws):
        noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        z = mu + torch.exp(0.5 * logvar) * noise
        own = log_normal(z.double(), mu.double(), logvar.double())
        joint, marginals = aggregate_log_density(z, mu, logvar, users=users, method=method)
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
        users=len(mu) if users is None else users,
        method=_method(method, len(mu), len(mu) if users is None else users),
    )
