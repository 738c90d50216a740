"""The bound report: for a latent-variable model, the bound it optimizes, how tight it is, and how its KL decomposes.

Everything is measured on held-out rows (users or pictures), in nats per row and per unit of a row (item or pixel), with
standard errors over rows (null for a single row). Two identities stand behind it:

    log p(x)  =  E_q[log p(x, z) − log q(z|x)]  +  KL(q(z|x) ‖ p(z|x))
    ELBO(x)  =  E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))

Statements about log p(x) are bounds, and are named so:

    elbo            E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)), q the encoder's output                           ≤ log p(x)
    elbo_refined    the same with q optimized for each row: `refine_gaussian`                           ≤ log p(x)
    iwae            importance-weighted, by k draws of q                                                ≤ log p(x), in expectation
    best_bound      importance-weighted, by all draws of both q's, under their mixture                  ≤ log p(x), in expectation
    annealed        by annealed importance sampling, on fewer rows; with an upper bound on simulated rows: `bracket.py`

The gap log p(x) − ELBO is at least best_bound − elbo, and the encoder's share of it (amortization) at least elbo_refined − elbo.
The rest, best_bound − elbo_refined, estimates the share of the Gaussian family (approximation), but bounds it on neither side.

If the prior of the model depends on x, the model's objective is reported as `objective`, beside bounds under the standard normal.

Values that are NaN or infinite are reported as null.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from foldin.errors import ShapeError
from foldin.inference.ais import Annealing
from foldin.inference.bracket import annealed_report
from foldin.inference.decomposition import decompose_kl
from foldin.inference.elbo import gaussian_kl, gaussian_kl_terms
from foldin.inference.health import active_units, alarms, effective_rank
from foldin.inference.iwae import iwae_bound, iwae_curve
from foldin.inference.latent import LatentModel
from foldin.inference.proposals import Gaussian, Joint, draws_of, posteriors, reliability, weights_of_both
from foldin.rows import Rows
from foldin.tensors import Array, Float64, Tensor

__all__ = ["Called", "bound_report", "entry_of"]

KS = (1, 5, 50, 500)
NO_BOUND = "objective with a prior that sees x, not a bound on log p(x)"
Say = Callable[[int, int], None]
D = TypeVar("D", bound=Rows)
_AFFORDED = 1 << 29  # most users × users × latent dimensions for which the aggregate posterior is computed exactly


class Called(NamedTuple):
    """Names of rows and of their units in a report."""

    row: str = "user"
    rows: str = "users"
    unit: str = "item"


def entry_of(values: Tensor, units: Float64[Array, " rows"], called: Called) -> dict[str, float | None]:
    """Mean per row and mean per unit, with standard errors; the mean per unit is the total divided by the number of units."""
    v = values.double().cpu().numpy()
    n = len(v)
    per_unit = v.sum() / units.sum()
    spread = v - per_unit * units  # residuals of a ratio of means, by the delta method
    several = n > 1
    return {
        f"per_{called.row}": _finite(v.mean()),
        f"per_{called.row}_se": _finite(v.std(ddof=1) / math.sqrt(n)) if several else None,
        f"per_{called.unit}": _finite(per_unit),
        f"per_{called.unit}_se": _finite(math.sqrt((spread**2).sum() / (n - 1)) / (math.sqrt(n) * units.mean()))
        if several
        else None,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def bound_report(
    model: LatentModel[D],
    x: D,
    units: Float64[Array, " rows"],
    *,
    called: Called = Called(),  # noqa: B008 (immutable)
    draws: int = 500,
    refine_steps: int = 100,
    annealed: int = 50,
    annealing: Annealing = Annealing(),  # noqa: B008 (immutable)
    aggregate: D | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> dict[str, Any]:
    """The bound report as data, in nats: bound, tightness, decomposition and health; see the module's docstring.

    Args:
        x: held-out rows.
        units: number of units of each row.
        called: names of rows and units in the report.
        draws: number of draws of z for each row from each q, which is the largest k of the IWAE bounds.
        refine_steps: maximum number of steps in which q is optimized for each row.
        annealed: number of rows, the first ones, whose log p(x) is bounded by annealed importance sampling; 0 for none.
        annealing: settings of annealed importance sampling.
        aggregate: rows whose aggregate posterior is decomposed; x if None.
        seed: seed of all draws.
        progress: called with (draws done, total draws).

    Raises:
        ShapeError: no rows, another number of unit counts than of rows, or no draws.
    """
    if len(x) == 0 or len(units) != len(x) or draws < 1:
        raise ShapeError(
            f"a bound report needs rows with a unit count each and a draw, not {len(x)}, {len(units)}, {draws}"
        )

    def entry(values: Tensor) -> dict[str, float | None]:
        return entry_of(values, units, called)

    generator = torch.Generator(model.device).manual_seed(seed)
    joint, start = Joint(model), posteriors(model, x)
    refined = joint.refined(x, start, generator, refine_steps)
    own_prior = model.log_prior if model.prior_sees_data else None
    say = progress or (lambda _done, _total: None)
    first = draws_of(
        model,
        x,
        (start, refined),
        joint.log_prior,
        draws,
        generator,
        extra=own_prior,
        say=lambda done, _: say(done, 2 * draws),
    )
    second = draws_of(
        model, x, (refined, start), joint.log_prior, draws, generator, say=lambda done, _: say(draws + done, 2 * draws)
    )
    reconstruction = first.likelihood.mean(dim=0)
    kl = gaussian_kl(*start) if joint.standard else (first.densities[0] - first.prior).mean(dim=0)
    elbo = reconstruction - kl
    # Estimator A, the mean of the log weights, measures the parts of the gap: its noise vanishes as q nears the posterior.
    from_draws, elbo_refined = first.log_weights.mean(dim=0), second.log_weights.mean(dim=0)
    both = weights_of_both(first, second)
    best = iwae_bound(both)
    report: dict[str, Any] = {
        called.rows: len(x),
        f"{called.unit}s_per_{called.row}": float(units.mean()),
        "called": called._asdict(),
        "draws": draws,
        "prior": joint.name,
        "bound": {
            "elbo": entry(elbo),
            "reconstruction": entry(reconstruction),
            "kl": entry(kl),
            "estimator_a": entry(from_draws),
        },
        "iwae": {
            str(k): entry(values)
            for k, values in iwae_curve(first.log_weights, tuple(k for k in KS if k <= draws)).items()
        },
        "gap": {
            "iwae_refined": entry(iwae_bound(second.log_weights)),
            "best_bound": entry(best),
            "elbo_refined": entry(elbo_refined),
            "gap_at_least": entry(best - from_draws),
            "amortization_at_least": entry(elbo_refined - from_draws),
            "approximation_estimate": entry(best - elbo_refined),
        },
        "reliability": {
            "encoder": reliability(first.log_weights),
            "refined": reliability(second.log_weights),
            "both": reliability(both),
        },
    }
    if joint.standard:
        report["bound"]["estimator_b"] = entry(elbo)
    if first.extra is not None:
        own = (first.densities[0] - first.extra).mean(dim=0)
        report["objective"] = {
            "what": NO_BOUND,
            "prior": model.prior_name,
            "objective": entry(reconstruction - own),
            "kl": entry(own),
        }
    if annealed > 0:
        n = min(annealed, len(x))
        some = x.rows(0, n)

        def of_some(values: Tensor) -> dict[str, float | None]:
            return entry_of(values, units[:n], called)

        report["annealed"] = annealed_report(
            joint,
            some,
            (refined[0][:n], refined[1][:n]),
            of_some,
            generator,
            annealing,
            refine_steps=refine_steps,
        ) | {"best_bound": of_some(best[:n])}
    codes = start if aggregate is None else posteriors(model, aggregate)
    return report | _decomposed(codes, generator, called)


@torch.no_grad()
def _decomposed(codes: Gaussian, generator: torch.Generator, called: Called) -> dict[str, Any]:
    """Decomposition of the KL to a standard normal, in nats, and health of the latent code.

    The aggregate posterior is that of all rows if its size permits; otherwise it is a stratified estimate from a random batch
    of rows.
    """
    mu, logvar = codes
    n, latent = mu.shape
    most = max(2, math.isqrt(_AFFORDED // latent))
    batch = min(n, most)
    if batch < n:
        chosen = torch.randperm(n, generator=generator, device=mu.device)[:batch]
    else:
        chosen = torch.arange(n, device=mu.device)
    draws = max(1, min(4, _AFFORDED // (4 * batch * batch * latent)))
    one = decompose_kl(mu[chosen], logvar[chosen], generator, draws=draws, users=n)
    what = {
        "all": f"the aggregate of all {n} {called.rows} itself",
        "stratified": f"q(z) without bias from {batch} of {n} {called.rows}; by Jensen's inequality I(x; z) is too high, but "
        "at most log N",
    }
    found = {
        "reference": "standard normal",
        "log_users": math.log(n),
        "users": n,
        "method": one.method,
        one.method: {
            "batch": batch,
            "bias": what[one.method],
            "kl": _finite(one.kl),
            "mutual_information": _finite(one.mutual_information),
            "total_correlation": _finite(one.total_correlation),
            "dimension_wise_kl": _finite(float(one.dimension_wise.sum())),
            "marginal_kl": _finite(one.marginal_kl),
        },
    }
    per_dimension = gaussian_kl_terms(mu, logvar).mean(dim=0)
    active = active_units(mu) if n > 1 else None
    health = {
        "active_units": active,
        "latent": latent,
        "effective_rank": effective_rank(mu) if n > 1 else None,
        "kl_per_dimension": sorted((float(v) for v in per_dimension), reverse=True),
        "alarms": []
        if active is None
        else alarms(
            kl=float(per_dimension.sum()),
            active=active,
            latent=latent,
            mutual_information=one.mutual_information,
            marginal_kl=one.marginal_kl,
            log_users=math.log(n),
            row=called.row,
            rows=called.rows,
        ),
    }
    return {"decomposition": found, "health": health}
