"""Description of a log and of a split, as data and as tables."""

from typing import Any

import numpy as np
from rich.console import Console

from foldin.cli.output import table
from foldin.data import EventLog, Split

__all__ = ["describe_log", "describe_split", "show_log", "show_split"]


def _quantiles(values: Any) -> dict[str, float]:
    points = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    return dict(zip(("min", "q25", "median", "q75", "max"), (float(p) for p in points), strict=True))


def describe_log(log: EventLog) -> dict[str, Any]:
    """Numbers of users, items and events of a log, and its reading report, as data."""
    histories, report = log.histories, log.report
    counts = histories.counts()
    top = np.argsort(-counts, kind="stable")[: max(1, round(0.01 * len(counts)))]
    times = histories.times
    return {
        "source": report.source,
        "format": report.format,
        "columns": report.columns,
        "rows": report.rows,
        "notes": [{"text": note.text, "count": note.count, "dropped": note.dropped} for note in report.notes],
        "users": len(histories),
        "items": histories.n_items,
        "events": histories.n_events,
        "density": histories.distinct().n_events / (len(histories) * histories.n_items),
        "events_per_user": _quantiles(histories.lengths),
        "events_per_item": _quantiles(counts),
        "share_of_top_percent": float(counts[top].sum() / histories.n_events),
        "times": None if times is None else [int(times.min()), int(times.max())],
        "kinds": _kinds(log),
        "values": _values(log),
        "titles": "title" in log.items.columns,
        "attributes": [name for name in log.items.columns if name not in ("item", "title")],
    }


def _kinds(log: EventLog) -> dict[str, int] | None:
    kinds = log.histories.kinds
    if kinds is None:
        return None
    counts = np.bincount(kinds, minlength=len(log.kinds))
    return {log.kinds[int(at)]: int(counts[at]) for at in np.argsort(-counts, kind="stable")}


def _values(log: EventLog) -> dict[str, float] | None:
    values = log.histories.values
    if values is None or np.isnan(values).all():
        return None
    return _quantiles(values[~np.isnan(values)].astype(np.float64))


def _span(times: list[int] | None) -> str:
    if times is None:
        return "no absolute times"
    first, last = (np.datetime64(t, "s").astype("datetime64[D]") for t in times)
    return f"{first} to {last}"


def show_log(console: Console, about: dict[str, Any]) -> None:
    """Print the description from `describe_log`."""
    columns = ", ".join(f"{role} = {name}" for role, name in about["columns"].items())
    console.print(f"{about['source']}  ({about['format']}: {columns})", style="bold", soft_wrap=True)
    rows = [("read", f"{about['rows']:,} rows")]
    rows += [("dropped" if n["dropped"] else "note", f"{n['count']:,} {n['text']}") for n in about["notes"]]
    rows += [
        ("kept", f"{about['events']:,} events of {about['users']:,} users with {about['items']:,} items"),
        (
            "density",
            f"{about['density']:.3%}; the most popular 1 % of items have {about['share_of_top_percent']:.0%} of the events",
        ),
        ("times", _span(about["times"])),
        *(
            [("kinds", ", ".join(f"{name or 'none'} {count:,}" for name, count in about["kinds"].items()))]
            if about["kinds"]
            else []
        ),
        ("titles", "yes" if about["titles"] else "no (add them with --items FILE)"),
    ]
    if about["attributes"]:
        rows.append(("features", ", ".join(about["attributes"])))
    console.print(table("", ("", ""), rows, left=2))
    shape = [
        (name, *(f"{about[key][q]:,.0f}" for q in ("min", "q25", "median", "q75", "max")))
        for name, key in (("events per user", "events_per_user"), ("events per item", "events_per_item"))
    ]
    if about["values"]:
        shape.append(("values of events", *(f"{value:g}" for value in about["values"].values())))
    console.print(table("", ("", "min", "25 %", "median", "75 %", "max"), shape))


def describe_split(split: Split) -> dict[str, Any]:
    """Numbers of users and events in the parts of a split, as data."""
    parts = {}
    for name, held in (("validation", split.validation), ("test", split.test)):
        parts[name] = {
            "users": len(held),
            "fold_in": held.fold_in.n_events,
            "targets": held.targets.n_events,
            "without_targets": int((held.targets.lengths == 0).sum()),
        }
    return {
        "protocol": split.protocol,
        "seed": split.seed,
        "items": len(split.catalog),
        "train": {"users": len(split.train), "events": split.train.n_events},
        **parts,
        "notes": [{"text": n.text, "count": n.count, "dropped": n.dropped} for n in split.report.notes],
    }


def show_split(console: Console, about: dict[str, Any]) -> None:
    """Print the description from `describe_split`."""
    seed = "" if about["seed"] is None else f", seed {about['seed']}"
    rows = [("train", f"{about['train']['users']:,}", f"{about['train']['events']:,}", "", "")]
    for name in ("validation", "test"):
        part = about[name]
        rows.append(
            (
                name,
                f"{part['users']:,}",
                f"{part['fold_in']:,}",
                f"{part['targets']:,}",
                f"{part['without_targets']:,}",
            )
        )
    title = f"Protocol {about['protocol']}{seed}: {about['items']:,} items are ranked"
    console.print(table(title, ("", "users", "fold-in events", "targets", "users without targets"), rows))
