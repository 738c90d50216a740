"""The gap of a bound, split: what the family of q cannot reach, and what the encoder does not.

    log p(x) − ELBO(q)  =  [log p(x) − ELBO(q*)]  +  [ELBO(q*) − ELBO(q)]
         gap                  approximation              amortisation

with q* the best member of the family for each person, found by gradient steps from the encoder's answer.
Source: cremer2018, eqs. 5 and 6.
"""

from collections.abc import Callable

import torch

from foldin.inference.elbo import reparameterise
from foldin.tensors import Float, Tensor

__all__ = ["refine_gaussian"]

Bound = Callable[[Tensor, Tensor, Tensor], Tensor]


def refine_gaussian(
    bound: Bound,
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    generator: torch.Generator,
    *,
    steps: int = 50,
    learning_rate: float = 0.03,
) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
    """(μ, log σ²) of each person's own q, after gradient ascent on the bound; nothing else is changed.

    Args:
        bound: (z, μ, log σ²) → each person's single-draw bound in nats, differentiable in all three.
        mu, logvar: where to begin: the encoder's answer.
        steps: of Adam, each with one draw of z a person.
    """
    mu = mu.detach().clone().requires_grad_()
    logvar = logvar.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([mu, logvar], lr=learning_rate)
    for step in range(steps):
        for group in optimizer.param_groups:  # a falling rate averages the noise of single draws out
            group["lr"] = learning_rate * (1.0 - step / steps)
        optimizer.zero_grad()
        z = reparameterise(mu, logvar, generator)
        loss = -bound(z, mu, logvar).sum()
        loss.backward()
        optimizer.step()
    return mu.detach(), logvar.detach()
