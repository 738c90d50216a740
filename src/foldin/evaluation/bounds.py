"""The bound report of a variational recommender, on the whole histories of held-out users, and on one half given the other.

For whole histories, the bounds are on log p(x), where p(x) = ∫ p(x|z) p(z) dz is the distribution of a sequence of draws. For
the same users, and in the same way for every model, there is also a bound on the log-probability of the target half given the
fold-in half,

    log ∫ p(x_target|z) q(z|x_fold) dz  ≥  E_q(z|x)[log p(x_target|z)] − KL(q(z|x) ‖ q(z|x_fold)),   x = x_fold and x_target

in which the encoder's posterior of the fold-in half takes the place of the prior. It does not depend on what is predicted, so
that the exponential of either side, summed over all target halves of one length, is at most 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut, Histories
from foldin.errors import ShapeError
from foldin.inference import (
    Annealing,
    Called,
    draws_of,
    entry_of,
    iwae_bound,
    posteriors,
    reliability,
    weights_of_both,
)
from foldin.inference import bound_report as report
from foldin.models import BoundedLikelihood, LatentPosterior
from foldin.tensors import Float, Tensor

__all__ = ["bound_report", "fold_in_bound", "likelihood_bound"]


def bound_report(
    model: LatentPosterior,
    held: HeldOut,
    *,
    users: int = 500,
    draws: int = 500,
    refine_steps: int = 100,
    annealed: int = 50,
    annealing: Annealing = Annealing(),  # noqa: B008 (immutable)
    aggregate: Histories | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Bound, tightness, decomposition and health as data, in nats per user and per item; see `inference.bound_report`.

    The entry `fold_in` is the result of `fold_in_bound`; null if no user has a target.

    Args:
        users: maximum number of held-out users; the first ones with any item are used.
        draws, refine_steps, annealed, annealing, aggregate, seed, progress: as in `inference.bound_report`.

    Raises:
        ShapeError: no held-out user has an item.
    """
    whole = held.fold_in.followed_by(held.targets)
    chosen = np.flatnonzero(whole.lengths)[:users]
    if len(chosen) == 0:
        raise ShapeError("no held-out user has an item")
    x = whole.select(chosen)
    found = report(
        model,
        x,
        x.lengths.astype(np.float64),
        draws=draws,
        refine_steps=refine_steps,
        annealed=annealed,
        annealing=annealing,
        aggregate=aggregate,
        seed=seed,
        progress=progress,
    )
    some = chosen[held.targets.lengths[chosen] > 0]
    generator = torch.Generator(model.device).manual_seed(seed)
    of = (held.fold_in.select(some), held.targets.select(some))
    return found | {"fold_in": fold_in_bound(model, *of, draws=draws, generator=generator) if len(some) else None}


@torch.no_grad()
def likelihood_bound(model: BoundedLikelihood, held: HeldOut, *, users: int = 500, seed: int = 0) -> dict[str, Any]:
    """A lower bound on the log-probability of held-out users' whole histories, by its terms, in nats per user and per item.

    The entry `of` is the bounded quantity; bounds of different quantities must not be compared.

    Args:
        users: maximum number of held-out users; the first ones with any item are used.

    Raises:
        ShapeError: no held-out user has an item.
    """
    whole = held.fold_in.followed_by(held.targets)
    chosen = np.flatnonzero(whole.lengths)[:users]
    if len(chosen) == 0:
        raise ShapeError("no held-out user has an item")
    x = whole.select(chosen)
    units = x.lengths.astype(np.float64)
    called = Called("user", "users", "item")
    calibrated = getattr(model, "temperature", None) is not None
    found = model.bound(x, torch.Generator(model.device).manual_seed(seed))
    return {
        "of": found.of + (", before the temperature" if calibrated else ""),
        "users": len(x),
        "items_per_user": float(units.mean()),
        "value": entry_of(found.value, units, called),
        "terms": {name: entry_of(term, units, called) for name, term in found.terms.items()},
    }


@torch.no_grad()
def fold_in_bound(
    model: LatentPosterior, fold_in: Histories, targets: Histories, *, draws: int, generator: torch.Generator
) -> dict[str, Any]:
    """Bounds on log p(target half | fold-in half) as data, in nats per user and per target item; see the module's docstring.

    `elbo` is the right-hand side; `best_bound` is the importance-weighted bound by draws of q(z|x) and of q(z|x_fold) together.

    Args:
        fold_in, targets: histories of the same users, each of whom has a target.
        draws: number of draws of z for each user from either posterior.
    """
    units = targets.lengths.astype(np.float64)

    def entry(values: Tensor) -> dict[str, float | None]:
        return entry_of(values, units, Called())

    reconstruction, kl, weights = _given(model, fold_in, targets, draws, generator)
    return {
        "what": "log p(target half | fold-in half), the encoder's posterior of the fold-in half as prior",
        "users": len(targets),
        "items_per_user": float(units.mean()),
        "elbo": entry(reconstruction - kl),
        "reconstruction": entry(reconstruction),
        "kl": entry(kl),
        "best_bound": entry(iwae_bound(weights)),
        "reliability": reliability(weights),
    }


def _given(
    model: LatentPosterior, fold_in: Histories, targets: Histories, draws: int, generator: torch.Generator
) -> tuple[Float[Tensor, " users"], Float[Tensor, " users"], Float[Tensor, "draws users"]]:
    """(E log p(x_target|z), KL, log weights of the draws of both posteriors) of each user, in nats."""
    whole, prior = posteriors(model, fold_in.followed_by(targets)), posteriors(model, fold_in)
    first = draws_of(model, targets, (whole, prior), prior, draws, generator)
    second = draws_of(model, targets, (prior, whole), prior, draws, generator)
    return first.likelihood.mean(dim=0), _gaussian_kl(whole, prior), weights_of_both(first, second)


def _gaussian_kl(first: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Float[Tensor, " users"]:
    """KL(N(μ, diag σ²) ‖ N(m, diag s²)) of each user, in nats."""
    (mu, logvar), (m, v) = first, other
    return 0.5 * (v - logvar + (logvar - v).exp() + (mu - m).square() * (-v).exp() - 1.0).sum(dim=1)
