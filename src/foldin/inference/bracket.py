"""Bounds on log p(x) by annealed importance sampling: a lower bound on data, bounds from both sides on simulated rows.

Held-out rows have only a lower bound. For rows simulated from the model, z ~ p(z) and x ~ p(x|z), that z is an exact draw from
p(z|x), so that there is an upper bound too. The distance between the two shows how close the lower bound is to log p(x), and
this holds for held-out rows as far as they resemble the simulated ones.

Source: grosse2015; wu2017, section 4.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from foldin.inference.ais import Annealing, annealed_weights, tuned_schedule
from foldin.inference.iwae import iwae_bound
from foldin.inference.proposals import Gaussian, Joint, blocks, frozen, posteriors
from foldin.rows import Rows
from foldin.tensors import Float64, Tensor

__all__ = ["annealed_report"]

D = TypeVar("D", bound=Rows)
Entry = Callable[[Tensor], dict[str, float | None]]


def annealed_report(
    joint: Joint[D],
    data: D,
    start: Gaussian,
    entry: Entry,
    generator: torch.Generator,
    settings: Annealing,
    *,
    refine_steps: int,
) -> dict[str, Any]:
    """The bounds as data, in nats per row and per unit.

    Args:
        data: held-out rows.
        start: (μ, log σ²) of each row's q, where its path begins.
        entry: values of all rows → their entry in the report.
        refine_steps: maximum number of steps in which the q of a simulated row is optimized, from the encoder's q.
    """
    lower, _, accepted = _bounds(joint, data, start, generator, settings, None)
    return {
        "rows": len(data),
        "temperatures": settings.temperatures,
        "leapfrogs": settings.leapfrogs,
        "chains": settings.chains,
        "accepted": accepted,
        "lower": entry(lower),
        "simulated": _simulated(joint, data, start[0], entry, generator, settings, refine_steps),
    }


def _simulated(
    joint: Joint[D], data: D, like: Tensor, entry: Entry, generator: torch.Generator, settings: Annealing, steps: int
) -> dict[str, Any] | None:
    """Both bounds on rows simulated from the model, of the same sizes as `data`; None if the model cannot simulate."""
    z = joint.drawn(like, generator)
    if z is None:
        return None
    made: list[D] = []
    for part, at in blocks(joint.model, data):
        one = joint.model.simulated(z[at], part, generator)
        if one is None:
            return None
        made.append(one)
    lowers, uppers = [], []
    for (_, at), one in zip(blocks(joint.model, data), made, strict=True):
        start = joint.refined(one, posteriors(joint.model, one), generator, steps)
        lower, upper, _ = _bounds(joint, one, start, generator, settings, z[at])
        assert upper is not None
        lowers.append(lower)
        uppers.append(upper)
    below, above = torch.cat(lowers), torch.cat(uppers)
    return {"lower": entry(below), "upper": entry(above), "width": entry(above - below)}


def _bounds(
    joint: Joint[D],
    data: D,
    start: Gaussian,
    generator: torch.Generator,
    settings: Annealing,
    exact: Tensor | None,
) -> tuple[Float64[Tensor, " rows"], Float64[Tensor, " rows"] | None, float]:
    """(lower bound of each row in nats, upper bound of each row if exact draws are given, share of accepted proposals)."""
    lowers, uppers, taken = [], [], 0.0
    chains = settings.chains
    many = data.select(np.repeat(np.arange(len(data)), chains))
    mus, logvars = (one.repeat_interleave(chains, dim=0) for one in start)
    parts = blocks(joint.model, many)
    with frozen(joint.model):
        for part, at in parts:
            mu, logvar = mus[at], logvars[at]

            def log_prob(z: Tensor, part: D = part) -> Tensor:
                return joint.log_prob(z, part)

            schedule = tuned_schedule(log_prob, mu, logvar, generator, settings)
            lower, accepted = annealed_weights(log_prob, mu, logvar, schedule, generator, settings)
            lowers.append(lower)
            taken += accepted / len(parts)
            if exact is not None:
                exacts = exact.repeat_interleave(chains, dim=0)[at]
                upper, _ = annealed_weights(log_prob, mu, logvar, schedule, generator, settings, exact=exacts)
                uppers.append(upper)
    # Averages over the chains of each row: of w forward, of 1/w in reverse.
    below = iwae_bound(torch.cat(lowers).view(-1, chains).t())
    return below, -iwae_bound(-torch.cat(uppers).view(-1, chains).t()) if uppers else None, taken
