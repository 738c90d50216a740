"""The report of a search over settings: as sentences, as rows of a table, and as an HTML page."""

import html
import itertools
import math
from collections import Counter
from typing import Any

from foldin.reports.charts import Points, chart, html_table
from foldin.reports.page import document
from foldin.reports.wording import figure, interval

__all__ = ["TUNING_HEAD", "tuning_page", "tuning_rows", "tuning_sentences"]

TUNING_HEAD = ("setting", "searched", "start", "best", "importance")


def tuning_sentences(content: dict[str, Any]) -> list[str]:
    """Sentences about the search: the result as a title, then notes on how to read its numbers."""
    metric, states = content["metric"], Counter(one["state"] for one in content["trials"])
    ended = [f"{states[name]:,} {name}" for name in ("pruned", "failed") if states[name]]
    number = len(content["trials"])
    found = [
        f"{content['model']}: the {'only trial' if number == 1 else f'best of {number:,} trials'}"
        + (f" ({', '.join(ended)})" if ended else "")
        + f" in {content['seconds'] / 60:,.1f} minutes of training has {metric} {content['best']['value']:.4f} on the "
        "validation users"
    ]
    if content["start"] is not None and content["start"] != content["best"]["value"]:
        found.append(f"At the start the search had {metric} {content['start']:.4f}.")
    if content["validation"] is not None and number > 1:
        found.append(
            f"On the validation users, which chose it, so that the figure is optimistic: {_estimate(content['validation'])}."
        )
    test = (content["test"] or {}).get(metric)
    if test is not None:
        found.append(f"On the test users, seen once, after the search: {_estimate(test)}.")
    if content["settings"] and all(one["importance"] is None for one in content["settings"].values()):
        found.append("There are too few trials to say which settings matter.")
    return found


def _estimate(entry: dict[str, Any]) -> str:
    between = interval(entry, 4, " to ")
    return f"{figure(entry, 'mean', 4)}{f' ({between})' if between else ''}"


def tuning_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each setting, most important first: name, searched range, start value, best value, and importance."""
    settings = content["settings"].items()
    return [
        (
            *(name, one["range"], one["start"] or "(none)", one["best"] or "(none)"),
            "–" if one["importance"] is None else f"{one['importance']:.0%}",
        )
        for name, one in sorted(settings, key=lambda entry: -(entry[1]["importance"] or 0.0))
    ]


def tuning_page(content: dict[str, Any]) -> str:
    """The report of `foldin tune` as a self-contained HTML page."""
    metric = content["metric"]
    title, *notes = tuning_sentences(content)
    valued = [one for one in content["trials"] if one["value"] is not None]
    whole = [(float(one["number"]), one["value"]) for one in valued if one["state"] == "complete"]
    pruned = [(float(one["number"]), one["value"]) for one in valued if one["state"] == "pruned"]
    best = list(zip((at for at, _ in whole), itertools.accumulate((value for _, value in whole), max), strict=True))
    history: dict[str, Points] = {"trial": whole, "best so far": best, **({"pruned": pruned} if pruned else {})}
    slices = "".join(_slice(name, about, valued, metric) for name, about in content["settings"].items())
    trials = sorted(
        content["trials"], key=lambda one: -math.inf if one["value"] is None else one["value"], reverse=True
    )
    rows = [
        (
            str(one["number"]),
            *(one["state"], "–" if one["value"] is None else f"{one['value']:.4f}", str(one["epochs"])),
            f"{one['seconds']:.1f}",
            " ".join(f"{name}={value}" for name, value in one["settings"].items()) or "the start",
            one["reason"],
        )
        for one in trials
    ]
    return document(
        f"Search over the settings of {content['model']}",
        f"<p>{html.escape(title)}.</p>"
        + "".join(f"<p>{html.escape(note)}</p>" for note in notes)
        + "<h2>Settings</h2>"
        + html_table(TUNING_HEAD, tuning_rows(content))
        + "<p>Importance: share of a setting in what makes the best tenth of the trials different (PED-ANOVA).</p>"
        + "<h2>History</h2>"
        + chart(f"{metric} by trial", history, "trial", metric, dots={"trial", "pruned"})
        + (f"<h2>{html.escape(metric)} by setting</h2>{slices}" if slices else "")
        + "<h2>Trials, best first</h2>"
        + html_table(("trial", "state", metric, "epochs", "seconds", "settings", "reason"), rows),
    )


def _slice(name: str, about: dict[str, Any], trials: list[dict[str, Any]], metric: str) -> str:
    """Chart of the metric by the value of one setting; empty if most of its values are not numbers, or all are the same."""
    points = []
    for one in trials:
        try:
            value = float(one["settings"].get(name, about["start"]))
        except ValueError:
            continue  # "none", or a list of widths
        if not about["log"] or value > 0:
            points.append((math.log10(value) if about["log"] else value, one["value"]))
    if len(points) < len(trials) / 2 or len({at for at, _ in points}) < 2:
        return ""
    return chart(name, {"": points}, f"log₁₀ {name}" if about["log"] else name, metric, dots={""})
