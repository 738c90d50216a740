"""The tables of bound reports."""

from collections.abc import Callable, Mapping
from typing import Any

from tables.base import load, rows_of

__all__ = ["explained"]


def explained() -> str:
    """The bound reports."""
    figures = load("reproductions/results/explain.json")["figures"]

    def nats(entry: Mapping[str, float]) -> str:
        return f"{entry['per_user']:.1f} ± {entry['per_user_se']:.1f}"

    bounds_only = all("best_bound" in one["bounds"]["gap"] for one in figures.values())

    def of_annealed(pick: Callable[[dict[str, Any]], Mapping[str, float]]) -> Callable[[dict[str, Any]], str]:
        return lambda b: nats(pick(b["annealed"])) if "annealed" in b else "–"

    def parts(b: dict[str, Any]) -> dict[str, Any]:
        found = b["decomposition"]
        one: dict[str, Any] = found[found.get("method", "all")]
        return one

    def weights(b: dict[str, Any], of: str) -> str:
        one = b["reliability"][of]
        median = "∞" if one["k_hat_median"] is None else f"{one['k_hat_median']:.2f}"
        return f"{median}, {one['ess_median']:.0f} of {one['draws']}"

    tightness: list[tuple[str, Callable[[dict[str, Any]], str]]] = (
        [
            ("ELBO with q refined for each user", lambda b: nats(b["gap"]["elbo_refined"])),
            ("best bound on log p(x)", lambda b: nats(b["gap"]["best_bound"])),
            ("gap: amortization, at least", lambda b: nats(b["gap"]["amortization_at_least"])),
            ("gap: approximation, estimate", lambda b: nats(b["gap"]["approximation_estimate"])),
            ("median k̂ and ESS, encoder's q", lambda b: weights(b, "encoder")),
            ("median k̂ and ESS, both q's", lambda b: weights(b, "both")),
            ("annealed: lower bound on some", of_annealed(lambda a: a["lower"])),
            ("annealed: best bound of the same", of_annealed(lambda a: a["best_bound"])),
            ("annealed: lower bound on simulated users", of_annealed(lambda a: a["simulated"]["lower"])),
            ("annealed: upper bound on simulated users", of_annealed(lambda a: a["simulated"]["upper"])),
            ("bound on log p(target half, given the rest)", lambda b: nats(b["fold_in"]["best_bound"])),
            (
                "objective with a prior that sees x: no bound on log p(x)",
                lambda b: nats(b["objective"]["objective"]) if "objective" in b else "–",
            ),
        ]
        if bounds_only
        else [
            ("log p(x), from q refined for each user", lambda b: nats(b["gap"]["log_evidence"])),
            ("gap: amortization", lambda b: nats(b["gap"]["amortization"])),
            ("gap: approximation", lambda b: nats(b["gap"]["approximation"])),
        ]
    )
    lines: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("ELBO, z from N(0, I)" if bounds_only else "ELBO", lambda b: nats(b["bound"]["elbo"])),
        ("reconstruction", lambda b: nats(b["bound"]["reconstruction"])),
        ("KL to N(0, I)" if bounds_only else "KL to the model's own prior", lambda b: nats(b["bound"]["kl"])),
        ("IWAE, k = 5", lambda b: nats(b["iwae"]["5"])),
        ("IWAE, k = 50", lambda b: nats(b["iwae"]["50"])),
        ("IWAE, k = 500", lambda b: nats(b["iwae"]["500"])),
        *tightness,
        ("KL to N(0, I): I(x; z)", lambda b: f"{parts(b)['mutual_information']:.1f}"),
        ("KL to N(0, I): total correlation", lambda b: f"{parts(b)['total_correlation']:.1f}"),
        ("KL to N(0, I): dimension-wise", lambda b: f"{parts(b)['dimension_wise_kl']:.1f}"),
        ("active units", lambda b: f"{b['health']['active_units']} of {b['health']['latent']}"),
        ("effective rank", lambda b: f"{b['health']['effective_rank']:.0f}"),
    ]
    rows = [[name, *(pick(one["bounds"]) for one in figures.values())] for name, pick in lines]
    rows.append(["held-out perplexity", *(f"{one['perplexity']['mean']:.0f}" for one in figures.values())])
    rows.append(["the report took", *(f"{one['seconds']:.0f} s" for one in figures.values())])
    return rows_of(["nats per user", *figures], rows)
