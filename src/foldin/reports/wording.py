"""Rows and lines of text of a bound report, for the terminal and the HTML page."""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "RELIABILITY_HEAD",
    "TERMS_HEAD",
    "bound_heading",
    "bound_rows",
    "figure",
    "health_line",
    "interval",
    "prediction_line",
    "reliability_rows",
    "term_heading",
    "term_rows",
]


def figure(entry: Mapping[str, Any], name: str, places: int) -> str:
    """A number of a report as text: ∞ for an infinite one, which JSON cannot express, and a dash where there is none."""
    if entry[name] is None:
        return "∞" if name in entry.get("infinite", ()) else "–"
    return f"{entry[name]:.{places}f}"


def interval(entry: Mapping[str, Any], places: int, between: str) -> str:
    """The interval of a number as text; a dash if there were too few users for one, "" if the entry has no interval."""
    if "low" not in entry:
        return ""
    if entry["low"] is None and entry["high"] is None and "infinite" not in entry:
        return "–"
    return f"{figure(entry, 'low', places)}{between}{figure(entry, 'high', places)}"


TERMS_HEAD = ("nats", "per user", "per item")


def term_heading(bound: dict[str, Any]) -> str:
    """A line with the bounded quantity, the number of held-out users and their number of items."""
    return f"lower bound on {bound['of']}: {bound['users']} held-out users, {bound['items_per_user']:.0f} items each"


def term_rows(bound: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The bound and its terms: name, nats per user, nats per item, with standard errors."""
    named = {
        "the bound: the sum of its terms": bound["value"],
        **{f"  {name}": one for name, one in bound["terms"].items()},
    }
    return [(name, _with_error(one, "per_user", 2), _with_error(one, "per_item", 4)) for name, one in named.items()]


def bound_rows(bounds: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The report's table: name, nats per row, nats per unit, with standard errors."""
    bound, gap, row, unit = bounds["bound"], bounds["gap"], bounds["called"]["row"], bounds["called"]["unit"]

    def cells(entry: dict[str, float | None]) -> tuple[str, str]:
        return _with_error(entry, f"per_{row}", 2), _with_error(entry, f"per_{unit}", 4)

    rows = [
        ("ELBO, a lower bound on log p(x)", *cells(bound["elbo"])),
        ("  reconstruction", *cells(bound["reconstruction"])),
        (f"  KL(q(z|x) ‖ {'N(0, I)' if bounds['prior'] == 'standard normal' else 'prior'})", *cells(bound["kl"])),
        ("SGVB estimator A", *cells(bound["estimator_a"])),
    ]
    if "estimator_b" in bound:
        rows.append(("SGVB estimator B", *cells(bound["estimator_b"])))
    rows += [(f"IWAE bound, k = {k}", *cells(entry)) for k, entry in bounds["iwae"].items()]
    rows += [
        (f"ELBO with q refined for each {row}", *cells(gap["elbo_refined"])),
        (f"IWAE bound with q refined for each {row}, k = {bounds['draws']}", *cells(gap["iwae_refined"])),
        (f"best bound on log p(x), from both q's, k = {2 * bounds['draws']}", *cells(gap["best_bound"])),
        ("gap log p(x) − ELBO, at least", *cells(gap["gap_at_least"])),
        ("  amortization, at least", *cells(gap["amortization_at_least"])),
        ("  approximation, estimate", *cells(gap["approximation_estimate"])),
    ]
    if "objective" in bounds:
        rows.append((bounds["objective"]["what"], *cells(bounds["objective"]["objective"])))
    if bounds.get("fold_in"):
        rows += [
            ("bound on log p(target half | fold-in half), per target item: ELBO", *cells(bounds["fold_in"]["elbo"])),
            (
                "bound on log p(target half | fold-in half), per target item: best",
                *cells(bounds["fold_in"]["best_bound"]),
            ),
        ]
    if "annealed" in bounds:
        annealed = bounds["annealed"]
        rows += [
            (f"annealed lower bound, {annealed['rows']} {bounds['called']['rows']}", *cells(annealed["lower"])),
            (f"  best bound of these {annealed['rows']}", *cells(annealed["best_bound"])),
        ]
        if annealed["simulated"] is not None:
            made = f"{annealed['rows']} simulated {bounds['called']['rows']}"
            rows += [
                (f"annealed lower bound, {made}", *cells(annealed["simulated"]["lower"])),
                (f"annealed upper bound, {made}", *cells(annealed["simulated"]["upper"])),
                ("  width of the bracket", *cells(annealed["simulated"]["width"])),
            ]
    return rows


def _with_error(entry: dict[str, float | None], name: str, places: int) -> str:
    """A mean ± its standard error; the mean alone without an error, a dash without a mean."""
    mean, error = entry[name], entry[f"{name}_se"]
    if mean is None:
        return "–"
    return f"{mean:.{places}f}" if error is None else f"{mean:.{places}f} ± {error:.{places}f}"


def reliability_rows(bounds: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """For each set of importance weights: name, draws, median k̂, share of k̂ above 0.7, median effective sample size."""
    names = {
        "encoder": "encoder's q",
        "refined": f"q refined for each {bounds['called']['row']}",
        "both": "both q's (best bound)",
    }
    sets = [(names[key], one) for key, one in bounds["reliability"].items()]
    if bounds.get("fold_in"):
        sets.append(("target half | fold-in half", bounds["fold_in"]["reliability"]))
    return [
        (
            name,
            str(one["draws"]),
            _median_shape(one),
            "–" if one["k_hat_above"] is None else f"{one['k_hat_above']:.0%}",
            f"{one['ess_median']:.1f}",
        )
        for name, one in sets
    ]


def _median_shape(one: dict[str, Any]) -> str:
    if one["k_hat_median"] is not None:
        return f"{one['k_hat_median']:.2f}"
    return "∞" if one["k_hat_infinite"] else "–"


RELIABILITY_HEAD = ("importance weights of", "draws", "median k̂", "k̂ > 0.7", "median ESS")


def health_line(bounds: dict[str, Any]) -> str:
    """A line with the number of active latent dimensions, the effective rank and log N."""
    health = bounds["health"]
    if health["active_units"] is None:
        return f"the number of active units needs more than one {bounds['called']['row']}"
    return (
        f"{health['active_units']} of {health['latent']} units active, effective rank {health['effective_rank']:.1f}, "
        f"log N = {bounds['decomposition']['log_users']:.2f}"
    )


def bound_heading(bounds: dict[str, Any]) -> str:
    """A line with the number of rows, of units in each, of draws of z, and the prior."""
    called = bounds["called"]
    each = bounds[f"{called['unit']}s_per_{called['row']}"]
    return (
        f"{bounds[called['rows']]} held-out {called['rows']}, {each:.0f} {called['unit']}s each, {bounds['draws']} draws of z; "
        f"prior: {bounds['prior']}"
    )


def prediction_line(content: dict[str, Any]) -> str:
    """A line with the held-out log-likelihood and both perplexities: from the mean over users, and over events."""

    def perplexity(name: str, of: str) -> str:
        return f", perplexity {figure(content[name], 'mean', 0)} {of}" if name in content else ""

    likelihood = content["log_likelihood_per_item"]
    spread = "" if likelihood["low"] is None else f" ({interval(likelihood, 4, ' to ')})"
    mean = f"held-out log-likelihood {figure(likelihood, 'mean', 4)} nats per item, averaged over users{spread}"
    return f"{mean}{perplexity('perplexity', 'over users')}{perplexity('perplexity_per_event', 'over all held-out events')}"
