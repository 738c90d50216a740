"""The bound report: for a latent-variable model, the bound it optimises, how tight it is, and how its KL decomposes.

Everything is measured on held-out rows (people, pictures), in nats per row and per unit of it (item, pixel), with
standard errors over rows.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from foldin.inference.decomposition import decompose_kl
from foldin.inference.elbo import gaussian_kl, log_normal, reparameterise
from foldin.inference.health import active_units, alarms, effective_rank
from foldin.inference.iwae import iwae_bound, iwae_curve
from foldin.inference.latent import LatentModel
from foldin.inference.refine import refine_gaussian
from foldin.rows import Rows
from foldin.tensors import Array, Float64, Tensor

__all__ = ["Called", "bound_report"]

KS = (1, 5, 50, 500)
Say = Callable[[int, int], None]
D = TypeVar("D", bound=Rows)


class Called(NamedTuple):
    """What rows and their units are called in a report."""

    row: str = "person"
    rows: str = "people"
    unit: str = "item"


def _entry(values: Tensor, units: Float64[Array, " rows"], called: Called) -> dict[str, float]:
    """Mean over rows and per unit, each with its standard error; per unit is the total over the number of units."""
    v = values.double().cpu().numpy()
    n = len(v)
    per_unit = v.sum() / units.sum()
    spread = v - per_unit * units  # of a ratio of means, by the delta method
    return {
        f"per_{called.row}": float(v.mean()),
        f"per_{called.row}_se": float(v.std(ddof=1) / math.sqrt(n)) if n > 1 else 0.0,
        f"per_{called.unit}": float(per_unit),
        f"per_{called.unit}_se": float(math.sqrt((spread**2).sum() / (n - 1)) / (math.sqrt(n) * units.mean()))
        if n > 1
        else 0.0,
    }


def _draws(
    model: LatentModel[D],
    data: D,
    mu: Tensor,
    logvar: Tensor,
    draws: int,
    generator: torch.Generator,
    say: Say,
) -> tuple[Tensor, Tensor, Tensor]:
    """(log p(x|z), log p(z), log q(z|x)) of `draws` draws a row, each (draws, rows)."""
    found: list[list[Tensor]] = [[], [], []]
    step = model.block()
    parts = [(data.rows(at, at + step), slice(at, at + step)) for at in range(0, len(data), step)]
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
    model: LatentModel[D], data: D, mu: Tensor, logvar: Tensor, generator: torch.Generator, steps: int
) -> tuple[Tensor, Tensor]:
    """Each row's own q, from the encoder's answer by gradient steps; the model stays as it is."""
    frozen = [t for t in model.tensors().values() if t.requires_grad]
    for tensor in frozen:
        tensor.requires_grad_(False)
    try:
        found = []
        step = model.block()
        for at in range(0, len(data), step):
            part = data.rows(at, at + step)

            def bound(z: Tensor, m: Tensor, v: Tensor, part: D = part) -> Tensor:
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
    model: LatentModel[D],
    x: D,
    units: Float64[Array, " rows"],
    *,
    called: Called = Called(),  # noqa: B008 (immutable)
    draws: int = 500,
    refine_steps: int = 60,
    aggregate: D | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Bound, tightness, decomposition and health as data; see the module's docstring.

    Args:
        x: held-out rows.
        units: of each row.
        called: names in the report.
        draws: of z for each row: the largest k of the IWAE bound.
        refine_steps: gradient steps to each row's own q, from which log p(x) is estimated, again with `draws` draws.
        aggregate: rows whose aggregate posterior is decomposed; x when None.
        seed: of all draws.
        progress: called with (draws done, draws in all).
    """

    def entry(values: Tensor) -> dict[str, float]:
        return _entry(values, units, called)

    generator = torch.Generator(model.device).manual_seed(seed)
    with torch.no_grad():
        mu, logvar = _posterior(model, x)
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
        # Each row's own q proposes far better than the encoder's: with that, the same k comes closer to log p(x).
        evidence = iwae_bound(weights.double())
    report: dict[str, Any] = {
        called.rows: len(x),
        f"{called.unit}s_per_{called.row}": float(units.mean()),
        "called": called._asdict(),
        "draws": draws,
        "prior": model.prior_name,
        "bound": {
            "elbo": entry(elbo),
            "reconstruction": entry(likelihood.mean(dim=0)),
            "kl": entry(kl),
            "estimator_a": entry(estimator_a),
        },
        "iwae": {str(k): entry(values) for k, values in curve.items()},
        "gap": {
            "log_evidence": entry(evidence),
            "gap": entry(evidence - elbo),
            "amortisation": entry(refined - elbo),
            "approximation": entry(evidence - refined),
        },
    }
    if model.standard_prior:
        report["bound"]["estimator_b"] = entry(likelihood.mean(dim=0) - kl)
    with torch.no_grad():
        report |= _decomposed(model, x if aggregate is None else aggregate, generator, called)
    return report


def _posterior(model: LatentModel[D], data: D) -> tuple[Tensor, Tensor]:
    step = model.block()
    parts = [model.posterior(data.rows(at, at + step)) for at in range(0, len(data), step)]
    return torch.cat([m for m, _ in parts]), torch.cat([v for _, v in parts])


def _decomposed(model: LatentModel[D], data: D, generator: torch.Generator, called: Called) -> dict[str, Any]:
    """The decomposition against a standard normal by three estimates of q(z), and the code's health."""
    mu, logvar = _posterior(model, data)
    n = len(mu)
    found: dict[str, Any] = {"reference": "standard normal", "log_people": math.log(n), "people": n}
    half = max(2, n // 2)
    kinds = {
        "all": (n, f"exact aggregate of these {called.rows}"),
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
            row=called.row,
            rows=called.rows,
        ),
    }
    return {"decomposition": found, "health": health}
