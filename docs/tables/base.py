"""What every table of the pages is made with: kept results, rows and cells."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "SHOWN", "cell", "load", "rows_of"]

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {"recall@20": "R@20", "recall@50": "R@50", "ndcg@100": "N@100", "perplexity": "perplexity"}


def load(path: str) -> dict[str, Any]:
    """A kept result."""
    content: dict[str, Any] = json.loads((ROOT / path).read_text(encoding="utf-8"))
    return content


def rows_of(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def cell(entry: Mapping[str, float | None] | None, places: int = 3) -> str:
    if entry is None or entry["mean"] is None:
        return "–"
    if entry["low"] is None:  # too few users for an interval
        return f"{entry['mean']:.{places}f}"
    return f"{entry['mean']:.{places}f} ({entry['low']:.{places}f}–{entry['high']:.{places}f})"
