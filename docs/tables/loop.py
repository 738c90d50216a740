"""The tables of the nightly loop, of warm starts, and of events with weights and dislikes."""

from statistics import fmean, median
from typing import Any

from tables.base import ROOT, cell, load, rows_of

__all__ = ["dislikes", "kinds", "nightly_loop", "warm_starts"]

_LOOP = "benchmarks/results/loop.json"
_WARM = "benchmarks/results/warm_start.json"
_WEIGHTS = "reproductions/results/weights.json"
_ARMS = {
    "distinct": "each item once",
    "alike": "every event alike",
    "weighted": "weighted",
    "half-life": "weighted, half-life of 30 days",
    "purchases": "purchases alone",
}


def nightly_loop() -> str:
    """What the nightly cycle did in thirty replayed days."""
    result = load(_LOOP)
    found, settings = result["figures"], result["settings"]
    cycles = found["cycles"]
    seconds = [one["seconds"] for one in cycles]
    swaps = [1000 * one["seconds_until_served"] for one in cycles]
    rows = [
        [
            f"{cycle['generation']}",
            cycle["outcome"],
            f"{cycle['epochs']}",
            f"{cycle['compared']['users']} ({cycle['compared']['newcomers']})",
            *(f"{cycle['compared'][which]['mean']:.4f}" for which in ("incumbent", "challenger")),
            f"{cycle['seconds']:.0f} s",
            *(_of_days(found["days"], at, settings["every"], which) for which in ("fresh", "frozen")),
        ]
        for at, cycle in enumerate(cycles, start=1)
    ]
    known = found["on_known_items"]
    low, high = found["difference"]["interval"]
    events, lacking = found["events"], found["targets_not_in_the_catalog"]
    parts = [
        f"The last {len(found['days'])} days of `retailrocket-behaviors`, a cycle every {settings['every']} days with a "
        f"`{settings['model']}`: {events['imported']:,} events imported, {events['sent'] - events['imported']:,} posted, "
        f"{found['kills']} SIGKILLs of the service in between; {events['lost']} events lost, {events['doubled']} doubled, "
        f"{found['failed_lists']} lists failed. A cycle took {min(seconds):.0f} to "
        f"{max(seconds):.0f} s on one core beside the service, {median(seconds):.0f} s in the middle, and was served "
        f"{min(swaps):.0f} to {max(swaps):.0f} ms after its end.",
        f"NDCG@10 of the model that was replaced, on the items that {found['users']} users took on a day for the first time, "
        f"{found['fresh']:.4f}; of the model that stayed as it was, {found['frozen']:.4f}: {found['difference']['mean']:+.4f} "
        f"[{low:+.4f}, {high:+.4f}]. Of the targets, {lacking['frozen']:.0%} are items that the frozen model does not have, "
        f"and {lacking['fresh']:.0%} items that the fresh one does not have; on those that both have, "
        f"{known['fresh']:.4f} and {known['frozen']:.4f}.",
        rows_of(
            [
                *("generation", "outcome", "epochs", "users compared (new)", "in service", "challenger", "cycle"),
                *("afterwards: fresh", "frozen"),
            ],
            rows,
        ),
    ]
    return "\n\n".join(parts)


def _of_days(days: list[dict[str, float]], cycle: int, every: int, which: str) -> str:
    """NDCG@10 of a model in the days after a cycle, over users and days; the last cycle has none."""
    after = [one for one in days if cycle * every < one["day"] <= (cycle + 1) * every]
    users = sum(one["users"] for one in after)
    return f"{sum(one['users'] * one[which] for one in after) / users:.4f}" if users else ""


def _interval(of: dict[str, float]) -> str:
    return f"{of['difference']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]"


def warm_starts() -> str:
    """Training from an earlier run beside training from scratch."""
    kept = load(_WARM)
    figures: dict[str, list[dict[str, Any]]] = kept["figures"]
    rows = []
    for name, seeds in figures.items():
        log, model = name.rsplit(" ", 1)
        values = [one["ndcg@100"] for one in seeds]
        ends = len({one.get("end") for one in seeds})
        differences = (
            [_interval(kept["pooled"][name]["ndcg@100"]) + f" over {ends} cuts"] if ends > 1 else map(_interval, values)
        )
        rows.append(
            [
                f"`{log}`",
                f"`{model}`",
                f"{len({one['seed'] for one in seeds})}",
                *(f"{fmean(one[which] for one in values):.4f}" for which in ("scratch", "warm")),
                "; ".join(differences),
                *(f"{median(one[which]['seconds'] for one in seeds):.1f} s" for which in ("scratch", "warm")),
                f"{median(one['times_faster'] for one in seeds):.1f}×",
                f"{median(one['times_faster_with_choosing'] for one in seeds):.1f}×",
            ]
        )
    head = [
        *("log", "model", "seeds", "NDCG@100 from scratch", "warm", "warm − scratch"),
        *("seconds from scratch", "warm", "faster", "with the choice"),
    ]
    return rows_of(head, rows)


def _parts(which: str) -> dict[str, dict[str, Any]]:
    """Model → the arms of a log's experiment; empty while there is no result."""
    if not (ROOT / _WEIGHTS).exists():
        return {}
    figures = load(_WEIGHTS)["figures"]
    return {name.split(" ", 1)[1]: arms for name, arms in figures.items() if name.startswith(f"{which} ")}


def kinds() -> str:
    """The next purchase, with views and carts weighted, alike, and left out."""
    found, kept = _parts("kinds"), load(_WEIGHTS)
    rows = [[f"`{model}`", *(cell(arms[arm]["ndcg@20"]) for arm in _ARMS)] for model, arms in found.items()]
    counts = kept["counts"][f"kinds {next(iter(found))}"]
    lead = (
        f"NDCG@20 of {counts['test items']:,} next purchases on `retailrocket-behaviors`. "
        f"{counts['never bought in the log']:,} of them were never bought before, and "
        f"{counts['test items'] - counts['in the log']:,} do not occur in the log, in which case they are ranked and missed."
    )
    return lead + "\n\n" + rows_of(["model", *_ARMS.values()], rows)


def dislikes() -> str:
    """Ratings below 3 read as dislikes, not read, and read as any other event."""
    tests = load(_WEIGHTS)["tests"]
    rows = []
    for model, arms in _parts("dislikes").items():
        pair = next(
            one
            for one in tests[f"dislikes {model}"]
            if {one["a"], one["b"]} == {"dislikes", "ignored"} and one["metric"] == "ndcg@20"
        )
        sign = 1 if pair["a"] == "dislikes" else -1
        low, high = sorted(sign * pair[end] for end in ("low", "high"))
        rows.append(
            [
                f"`{model}`",
                *(f"{arms[arm]['ndcg@20']['mean']:.4f}" for arm in ("dislikes", "ignored", "likes")),
                f"{sign * pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}]",
            ]
        )
    head = ["model", "as dislikes", "not read", "as any other event", "dislikes − not read"]
    return "NDCG@20 on `ml-1m`, all three on the same users and targets.\n\n" + rows_of(head, rows)
