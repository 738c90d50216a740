"""Draws of z for the bound report: for each row from one or two Gaussians, with all terms of the importance weights.

The prior is that of the model, except that a prior p(z|x), which depends on the row, is replaced by the standard normal.

With two proposals A and B and equally many draws from each, the weight of a draw is

    w = p(x, z) / [½ q_A(z) + ½ q_B(z)]

whichever proposal it came from. The mean of w is p(x), and the logarithm of an average is a bound in expectation, for each row
close to that of the better proposal, without the upward bias of taking the larger of two estimates.

Source: owen2000, section 2 (the balance heuristic of veach1995 for importance sampling).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from foldin.inference.elbo import gaussian_kl, log_normal, reparameterize
from foldin.inference.latent import LatentModel
from foldin.inference.psis import effective_sample_size, psis
from foldin.inference.refine import refine_gaussian
from foldin.rows import Rows
from foldin.tensors import Float, Tensor

__all__ = ["Drawn", "Gaussian", "Joint", "draws_of", "frozen", "posteriors", "reliability", "weights_of_both"]

D = TypeVar("D", bound=Rows)
Gaussian = tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]
Density = Callable[[Tensor, D], Tensor]


@dataclass(frozen=True)
class Joint(Generic[D]):
    """The likelihood p(x|z) of a model, and a prior that does not depend on x."""

    model: LatentModel[D]

    @property
    def standard(self) -> bool:
        """Whether the prior is the standard normal."""
        return self.model.standard_prior or self.model.prior_sees_data

    @property
    def name(self) -> str:
        """Name of the prior in reports."""
        return "standard normal" if self.standard else self.model.prior_name

    def log_prior(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(z) of each row's z, in nats."""
        return (
            log_normal(z, torch.zeros_like(z), torch.zeros_like(z)) if self.standard else self.model.log_prior(z, data)
        )

    def log_prob(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(x, z) of each row, in nats, with a gradient in z."""
        return self.model.differentiable_log_likelihood(z, data) + self.log_prior(z, data)

    def bound(self, z: Tensor, mu: Tensor, logvar: Tensor, data: D) -> Float[Tensor, " rows"]:
        """Each row's bound in nats from one draw of z, with the KL in closed form if the prior has one."""
        if self.standard:
            return self.model.differentiable_log_likelihood(z, data) - gaussian_kl(mu, logvar)
        return self.log_prob(z, data) - log_normal(z, mu, logvar)

    def drawn(
        self, like: Float[Tensor, "rows latent"], generator: torch.Generator
    ) -> Float[Tensor, "rows latent"] | None:
        """A draw of z from the prior for each row; None if the model cannot draw from it."""
        if self.standard:
            return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
        return self.model.draw(len(like), generator)

    def refined(self, data: D, start: Gaussian, generator: torch.Generator, steps: int) -> Gaussian:
        """(μ, log σ²) of the q optimized for each row, starting from `start`; see `refine_gaussian`."""
        with frozen(self.model):
            found = []
            for part, at in blocks(self.model, data):

                def bound(z: Tensor, mu: Tensor, logvar: Tensor, part: D = part) -> Tensor:
                    return self.bound(z, mu, logvar, part)

                found.append(refine_gaussian(bound, start[0][at], start[1][at], generator, steps=steps))
        return torch.cat([m for m, _ in found]), torch.cat([v for _, v in found])


@contextmanager
def frozen(model: LatentModel[Any]) -> Iterator[None]:
    """Context in which the learned tensors of the model take no gradient."""
    held = [t for t in model.tensors().values() if t.requires_grad]
    for tensor in held:
        tensor.requires_grad_(False)
    try:
        yield
    finally:
        for tensor in held:
            tensor.requires_grad_(True)


def blocks(model: LatentModel[D], data: D) -> list[tuple[D, slice]]:
    """The rows in blocks that the model processes at once, each with its slice."""
    step = model.block()
    return [(data.rows(at, at + step), slice(at, at + step)) for at in range(0, len(data), step)]


@torch.no_grad()
def posteriors(model: LatentModel[D], data: D) -> Gaussian:
    """(μ, log σ²) of q(z|x) for each row, from the encoder."""
    parts = [model.posterior(part) for part, _ in blocks(model, data)]
    return torch.cat([m for m, _ in parts]), torch.cat([v for _, v in parts])


@dataclass(frozen=True)
class Drawn:
    """Log-densities at draws from one proposal, in nats, each of shape (draws, rows).

    Args:
        likelihood: log p(x|z).
        prior: log p(z).
        densities: log q(z) of every proposal, first that of the proposal of these draws.
        extra: another log-density of z, if one was requested.
    """

    likelihood: Float[Tensor, "draws rows"]
    prior: Float[Tensor, "draws rows"]
    densities: tuple[Float[Tensor, "draws rows"], ...]
    extra: Float[Tensor, "draws rows"] | None

    @property
    def log_weights(self) -> Float[Tensor, "draws rows"]:
        """log p(x, z) − log q(z) in nats, with q the proposal of these draws."""
        return (self.likelihood + self.prior - self.densities[0]).double()


@torch.no_grad()
def draws_of(
    model: LatentModel[D],
    data: D,
    proposals: tuple[Gaussian, ...],
    log_prior: Density[D] | Gaussian,
    draws: int,
    generator: torch.Generator,
    *,
    extra: Density[D] | None = None,
    say: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Log-densities in nats at draws of z for each row from the first of the proposals.

    Args:
        proposals: (μ, log σ²) of each proposal.
        log_prior: (z, rows) → log p(z) of each row, or (μ, log σ²) of a Gaussian prior for each row.
        draws: number of draws for each row.
        extra: (z, rows) → another log-density to be returned.
        say: called with (draws done, total draws).
    """
    found: list[list[Tensor]] = []
    for draw in range(draws):
        rows: list[list[Tensor]] = []
        for part, at in blocks(model, data):
            z = reparameterize(proposals[0][0][at], proposals[0][1][at], generator)
            prior = (
                log_normal(z, log_prior[0][at], log_prior[1][at])
                if isinstance(log_prior, tuple)
                else log_prior(z, part)
            )
            kept = [model.log_likelihood(z, part), prior, *(log_normal(z, m[at], v[at]) for m, v in proposals)]
            rows.append(kept if extra is None else [*kept, extra(z, part)])
        found.append([torch.cat(one) for one in zip(*rows, strict=True)])
        if say is not None:
            say(draw + 1, draws)
    parts = [torch.stack(one) for one in zip(*found, strict=True)]
    last = 2 + len(proposals)
    return Drawn(parts[0], parts[1], tuple(parts[2:last]), None if extra is None else parts[last])


def weights_of_both(first: Drawn, second: Drawn) -> Float[Tensor, "draws rows"]:
    """Log weights in nats, under the equal mixture of two proposals, of the draws of both; each must hold both densities."""
    found = [
        one.likelihood.double()
        + one.prior.double()
        - torch.logaddexp(*(d.double() for d in one.densities))
        + math.log(2.0)
        for one in (first, second)
    ]
    return torch.cat(found)


def reliability(log_weights: Float[Tensor, "draws rows"]) -> dict[str, Any]:
    """Reliability of importance weights as data: k̂ and effective sample size over rows.

    `k_hat_median` is null if it is infinite, or if there are fewer than 25 draws. `k_hat_above` is the share of rows with k̂
    above 0.7, including those with k̂ = ∞. `k_hat_infinite` is the number of the latter, whose weights cannot be assessed or
    spread too far to be measured.
    """
    rows = log_weights.cpu().numpy().T
    usable = [row for row in rows if math.isfinite(row.max())]
    ess = [effective_sample_size(row) for row in usable]
    shapes = [psis(row)[1] for row in usable] if rows.shape[1] >= 25 else []
    shapes += [math.inf] * (len(rows) - len(usable) if rows.shape[1] >= 25 else 0)
    median = float(np.median(shapes)) if shapes else math.nan
    return {
        "draws": rows.shape[1],
        "k_hat_median": median if math.isfinite(median) else None,
        "k_hat_above": float(np.mean([one > 0.7 for one in shapes])) if shapes else None,
        "k_hat_infinite": sum(one == math.inf for one in shapes) if shapes else None,
        "ess_median": float(np.median(ess)) if ess else 0.0,
    }
