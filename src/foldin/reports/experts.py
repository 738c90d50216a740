"""Rows and lines of text on what each expert of a product adds, for the terminal and the HTML page."""

from typing import Any

from foldin.reports.wording import figure, interval

__all__ = ["EXPERTS_HEAD", "expert_rows", "experts_heading"]

EXPERTS_HEAD = ("expert", "log-likelihood without it", "it adds, nats per item", "it adds, NDCG@100")


def experts_heading(content: dict[str, Any]) -> str:
    """A line with the log-likelihood of the product, and what the table compares it with."""
    return (
        f"log-likelihood of the product: {figure(content['log_likelihood'], 'mean', 4)} nats per held-out item of "
        f"{content['users']} test users; without an expert, the weights of the others are learned anew on validation"
    )


def expert_rows(content: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """For each expert: its name, the log-likelihood without it, and what it adds to the product with the interval over users."""
    return [
        (one["name"], figure(one["without"], "mean", 4), *(_with_interval(one[key]) for key in ("adds", "adds_ndcg")))
        for one in content["experts"]
    ]


def _with_interval(entry: dict[str, Any]) -> str:
    return f"{figure(entry, 'mean', 4)} ({interval(entry, 4, ' to ')})"
