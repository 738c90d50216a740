"""The bound report: for a variational model, the bound it optimises, how tight it is, and how its KL decomposes.

Everything is measured on the whole histories of held-out people, in nats per person and per item, with standard errors
over people.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut, Histories
from foldin.errors import ShapeError
from foldin.inference import (
    active_units,
    alarms,
    decompose_kl,
    effective_rank,
    gaussian_kl,
    iwae_bound,
    iwae_curve,
    log_normal,
    refine_gaussian,
    reparameterise,
)
from foldin.models import Variational
from foldin.tensors import Array, Float64, Tensor

__all__ = ["KS", "bound_report"]

KS = (1, 5, 50, 500)
Say = Callable[[int, int], None]


def _entry(values: Tensor, items: Float64[Array, " people"]) -> dict[str, float]:
    """Mean over people and per item, each with its standard error; per item is the total over the number of items."""
    v = values.double().cpu().numpy()
    n = len(v)
    per_item = v.sum() / items.sum()
    spread = v - per_item * items  # of a ratio of means, by the delta method
    return {
        "per_person": float(v.mean()),
        "per_person_se": float(v.std(ddof=1) / math.sqrt(n)) if n > 1 else 0.0,
        "per_item": float(per_item),
        "per_item_se": float(math.sqrt((spread**2).sum() / (n - 1)) / (math.sqrt(n) * items.mean())) if n > 1 else 0.0,
    }


def _draws(
    model: Variational[Any],
    people: Histories,
    mu: Tensor,
    logvar: Tensor,
    draws: int,
    generator: torch.Generator,
    say: Say,
) -> tuple[Tensor, Tensor, Tensor]:
    """(log p(x|z), log p(z), log q(z|x)) of `draws` draws a person, each (draws, people)."""
    found: list[list[Tensor]] = [[], [], []]
    step = model.block()
    parts = [(people.rows(at, at + step), slice(at, at + step)) for at in range(0, len(people), step)]
    for draw in range(draws):
        rows: list[list[Tensor]] = [[], [], []]
        for part, at in parts:
            z = reparameterise(mu[at], logvar[at], generator)
            rows[0].append(model.log_likelihood(z, part))
            rows[1].append(model.log_prior(z, part))
            rows[2].append(log_normal(z, mu[at], logvar[at]))
        for one, row in zip(found, rows, strict=True):
            one.append(torch.cat(row))
        say(draw + 1, draws)
    reconstruction, prior, own = (torch.stack(one) for one in found)
    return reconstruction, prior, own


def _refined(
    model: Variational[Any], people: Histories, mu: Tensor, logvar: Tensor, generator: torch.Generator, steps: int
) -> tuple[Tensor, Tensor]:
    """Each person's own q, from the encoder's answer by gradient steps; the model stays as it is."""
    frozen = [t for t in model.tensors().values() if t.requires_grad]
    for tensor in frozen:
        tensor.requires_grad_(False)
    try:
        found = []
        step = model.block()
        for at in range(0, len(people), step):
            part = people.rows(at, at + step)

            def bound(z: Tensor, m: Tensor, v: Tensor, part: Histories = part) -> Tensor:
                likelihood = model.differentiable_log_likelihood(z, part)
                if model.standard_prior:
                    return likelihood - gaussian_kl(m, v)
                return likelihood + model.log_prior(z, part) - log_normal(z, m, v)

            found.append(refine_gaussian(bound, mu[at : at + step], logvar[at : at + step], generator, steps=steps))
    finally:
        for tensor in frozen:
            tensor.requires_grad_(True)
    return torch.cat([m for m, _ in found]), torch.cat([v for _, v in found])


def bound_report(
    model: Variational[Any],
    held: HeldOut,
    *,
    people: int = 500,
    draws: int = 500,
    refine_steps: int = 60,
    aggregate: Histories | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Bound, tightness, decomposition and health as data; see the module's docstring.

    Args:
        people: held-out people at most (the first with any item).
        draws: of z for each person: the largest k of the IWAE bound.
        refine_steps: gradient steps to each person's own q, from which log p(x) is estimated, again with `draws` draws.
        aggregate: people whose aggregate posterior is decomposed; the held-out ones when None.
        seed: of all draws.
        progress: called with (draws done, draws in all).

    Raises:
        ShapeError: nobody among the held-out people has an item.
    """
    whole = held.fold_in.followed_by(held.targets)
    chosen = np.flatnonzero(whole.lengths)[:people]
    if len(chosen) == 0:
        raise ShapeError("nobody among the held-out people has an item")
    x = whole.select(chosen)
    items = x.lengths.astype(np.float64)
    generator = torch.Generator(model.device).manual_seed(seed)
    with torch.no_grad():
        mu, logvar = model.posterior(x)
        likelihood, prior, own = _draws(model, x, mu, logvar, draws, generator, progress or (lambda _d, _t: None))
        kl_draws = (own - prior).mean(dim=0)
        kl = gaussian_kl(mu, logvar) if model.standard_prior else kl_draws
        estimator_a = (likelihood + prior - own).mean(dim=0)
        elbo = likelihood.mean(dim=0) - kl
        curve = iwae_curve((likelihood + prior - own).double(), tuple(k for k in KS if k <= draws))
    best_mu, best_logvar = _refined(model, x, mu, logvar, generator, refine_steps)
    with torch.no_grad():
        silent: Say = lambda _d, _t: None
        parts = _draws(model, x, best_mu, best_logvar, draws, generator, silent)
        weights = parts[0] + parts[1] - parts[2]
        refined = weights.mean(dim=0)
        # Each person's own q proposes far better than the encoder's: with that, the same k comes closer to log p(x).
        evidence = iwae_bound(weights.double())
    gap = evidence - elbo
    report: dict[str, Any] = {
        "people": len(x),
        "items_per_person": float(items.mean()),
        "draws": draws,
        "prior": "standard normal" if model.standard_prior else "adaptive: it looks at the history; KL by Monte Carlo",
        "bound": {
            "elbo": _entry(elbo, items),
            "reconstruction": _entry(likelihood.mean(dim=0), items),
            "kl": _entry(kl, items),
            "estimator_a": _entry(estimator_a, items),
        },
        "iwae": {str(k): _entry(values, items) for k, values in curve.items()},
        "gap": {
            "log_evidence": _entry(evidence, items),
            "gap": _entry(gap, items),
            "amortisation": _entry(refined - elbo, items),
            "approximation": _entry(evidence - refined, items),
        },
    }
    if model.standard_prior:
        report["bound"]["estimator_b"] = _entry(likelihood.mean(dim=0) - kl, items)
    with torch.no_grad():
        report |= _decomposed(model, x if aggregate is None else aggregate, generator)
    return report


def _decomposed(model: Variational[Any], people: Histories, generator: torch.Generator) -> dict[str, Any]:
    """The decomposition against a standard normal by three estimates of q(z), and the code's health."""
    step = model.block()
    parts = [model.posterior(people.rows(at, at + step)) for at in range(0, len(people), step)]
    mu, logvar = torch.cat([m for m, _ in parts]), torch.cat([v for _, v in parts])
    n = len(mu)
    found: dict[str, Any] = {"reference": "standard normal", "log_people": math.log(n), "people": n}
    half = max(2, n // 2)
    kinds = {
        "all": (n, "exact aggregate of these people"),
        "stratified": (half, "unbiased for q(z); log q(z) biased low by Jensen's inequality"),
        "weighted": (half, "log q(z) too low by about log N − log M, mutual information too high"),
    }
    for method, (batch, bias) in kinds.items():
        one = decompose_kl(mu[:batch], logvar[:batch], generator, draws=4, people=n, method=method)
        found[method] = {
            "batch": batch,
            "bias": bias,
            "kl": one.kl,
            "mutual_information": one.mutual_information,
            "total_correlation": one.total_correlation,
            "dimension_wise_kl": float(one.dimension_wise.sum()),
            "marginal_kl": one.marginal_kl,
        }
    exact = decompose_kl(mu, logvar, generator)
    per_dimension = (0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)).mean(dim=0)
    active = active_units(mu)
    health = {
        "active_units": active,
        "latent": mu.shape[1],
        "effective_rank": effective_rank(mu),
        "kl_per_dimension": sorted((float(v) for v in per_dimension), reverse=True),
        "alarms": alarms(
            kl=float(per_dimension.sum()),
            active=active,
            latent=mu.shape[1],
            mutual_information=exact.mutual_information,
            marginal_kl=exact.marginal_kl,
            log_people=math.log(n),
        ),
    }
    return {"decomposition": found, "health": health}
