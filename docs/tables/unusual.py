"""The tables of users without events, and of logs in which users take items again."""

from typing import Any

from tables.base import cell, load, rows_of

__all__ = ["cold_users", "repeats"]


def cold_users() -> str:
    """Lists from features alone, and what the features add to a history."""
    figures = load("reproductions/results/cold_users.json")["figures"]
    shown = {"recall@10": "R@10", "ndcg@100": "N@100", "perplexity": "perplexity"}
    kinds = {"without events": "ml-1m, users without events", "with events": "ml-1m, users with events"}
    rows = [
        [which, f"`{name}`", *(cell(of[metric], 0 if metric == "perplexity" else 3) for metric in shown)]
        for which, log in kinds.items()
        for name, of in figures[log].items()
    ]
    return rows_of(["test users", "model", *shown.values()], rows)


def repeats() -> str:
    """The share of the best lists that each model reaches, and its divergence from the truth."""
    result: dict[str, Any] = load("reproductions/results/repeats.json")
    rows = [
        [f"`{name}`", *(f"{of[one]:.3f}" for one in ("share_of_best", "of_repeats", "of_new", "divergence"))]
        for name, of in result["figures"].items()
    ]
    settings = result["settings"]
    table = rows_of(["model", "of the best list", "of all repeats", "of all new items", "divergence (nats)"], rows)
    return f"{settings['users']:,} users with {settings['events']} events each, {settings['catalog']} items:\n\n{table}"
