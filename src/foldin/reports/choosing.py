"""The choice of a model as a title, as rows of tables and as sentences, each with the figures that it rests on."""

from collections.abc import Mapping, Sequence
from typing import Any

from foldin.memory import in_words
from foldin.reports.wording import figure, interval

__all__ = ["CHOICE_HEAD", "FACTS_HEAD", "choice_rows", "choice_sentences", "choice_title", "facts_rows"]

CHOICE_HEAD = (
    "model",
    "on validation",
    "95 % interval",
    "behind the best",
    "95 % interval",
    "training",
    "a list",
    "memory",
)
FACTS_HEAD = ("fact", "figure")
_ORIGIN = {
    "times": "from the times of the events",
    "column": "from a column of the log",
    "file": "the order of the rows of the file",
}
_NEEDS = {
    "density": "probabilities",
    "uncertainty": "uncertainty, by draws from a posterior",
    "new_items": "items without events, by their features",
    "reads_order": "the order of events",
}


def choice_title(content: Mapping[str, Any]) -> str:
    """The chosen model, in one line."""
    number = len(content["models"])
    return f"Choice on {content['facts']['data']}: {content['model']}, of {number} compared model{'s' if number > 1 else ''}"


def choice_rows(content: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each model, best first: metric on the validation users, distance from the best model, and costs."""
    models = content["models"]
    order = sorted(models, key=lambda name: -models[name]["validation"]["mean"])
    return [
        (
            name,
            figure(models[name]["validation"], "mean", 4),
            interval(models[name]["validation"], 4, "–"),
            "–" if name == content["best"] else figure(models[name]["behind"], "difference", 4),
            "–" if name == content["best"] else interval(models[name]["behind"], 4, " to "),
            *(_cost(cost, models[name][cost]) for cost in ("seconds", "milliseconds", "bytes")),
        )
        for name in order
    ]


def facts_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row for each fact of a log."""
    few, middle, many = facts["events_per_user"]
    gain = facts["order_gain"]
    rows = [
        ("training users, items, events", f"{facts['users']:,}, {facts['items']:,}, {facts['events']:,}"),
        ("events per user: 10 %, 50 %, 90 %", f"{few:,.0f}, {middle:,.0f}, {many:,.0f}"),
        ("pairs of user and item with an event", f"{facts['density']:.3%}"),
        ("events that repeat an item of the user", f"{facts['repeated']:.1%}"),
        ("order of events", _ORIGIN[facts["order"]]),
        ("worth of the order, nats per event", "–" if gain is None else _estimate(gain, 3)),
        ("features of items", ", ".join(facts["features"]) or "none"),
    ]
    if facts["tied"] is not None:
        rows.insert(5, ("events at the time of another of the user", f"{facts['tied']:.1%}"))
    if facts["cold"] is not None:
        rows.append(("newest tenth of events: items without earlier ones", f"{facts['cold']:.1%}"))
    return rows


def choice_sentences(content: Mapping[str, Any]) -> list[str]:
    """The reasons of a choice, then the alternatives, then how to read the figures."""
    return [
        *_quality(content),
        *_size(content["facts"]),
        *_order(content),
        *_items(content["facts"]),
        *(_alternative(content, one) for one in content["alternatives"]),
        "Settings, epochs and the weights of products were chosen on the same validation users, so that these figures are "
        "optimistic; the test users had no part in the choice.",
    ]


def _quality(content: Mapping[str, Any]) -> list[str]:
    """How good the best models are, and which of them costs least."""
    models, best, name, metric = content["models"], content["best"], content["model"], content["metric"]
    users = content["facts"]["validation_users"]
    found = [
        f"{metric} of {users:,} validation users is highest for {best}: {_estimate(models[best]['validation'], 4)}."
    ]
    near = [one for one in content["as_good"] if one != best]
    if near:
        found.append(
            f"Not shown to be behind it, by the paired 95 % interval: {'; '.join(_behind(models, one) for one in near)}."
        )
        beside = "" if name == best else f", where {best} costs {_costs(models[best])}"
        cheap = [one for one in content["cheap"] if one != name]
        which = (
            f"it costs at most twice the least, as {', '.join(cheap)} {'do' if cheap[1:] else 'does'}, and is the best of these"
            if cheap
            else "it costs least"
        )
        found.append(
            f"Of these {len(near) + 1} models, {name} is chosen, since {which}: {_costs(models[name])}{beside}."
        )
    else:
        found.append(f"No other model is as good; {name} costs {_costs(models[name])}.")
    far = sorted(
        (one for one in models if one not in content["as_good"]), key=lambda one: models[one]["behind"]["difference"]
    )
    if far:
        found.append(f"Behind it: {'; '.join(_behind(models, one) for one in far)}.")
    return found


def _size(facts: Mapping[str, Any]) -> list[str]:
    few, middle, many = facts["events_per_user"]
    found = [
        f"The log has {facts['users']:,} training users, {facts['items']:,} items and {facts['events']:,} events; "
        f"{facts['density']:.3%} of the pairs of user and item have one. Half of the users have at most {middle:,.0f} events, "
        f"a tenth at most {few:,.0f}, and a tenth more than {many:,.0f}."
    ]
    if facts["repeated"] > 0:
        targets = (
            f"{facts['repeated_targets']:.1%} of the validation targets are such repeats."
            if facts["repeated_targets"] > 0
            else "All validation targets are new to the user: repeats are learned from, and lists have none."
        )
        found.append(f"{facts['repeated']:.1%} of the events repeat an item of the user. {targets}")
    return found


def _order(content: Mapping[str, Any]) -> list[str]:
    """What the order of events is worth: in the log, and to the compared models."""
    facts, order = content["facts"], content["order"]
    gain = facts["order_gain"]
    found = []
    if gain is not None:
        tied = (
            "" if facts["tied"] is None else f"; {facts['tied']:.1%} of the events share it with another of their user"
        )
        found.append(
            f"A user's last item tells {_estimate(gain, 3)} nats more about the next one than a random earlier item does "
            f"({gain['users']:,} users). The order is {_ORIGIN[facts['order']]}{tied}."
        )
    if order is not None:
        found.append(
            f"Of the models that read the order, {order['reads']} is the best, of the others {order['ignores']}; the difference "
            f"in {content['metric']} is {_estimate(order, 4, 'difference')}."
        )
    readers = any(one["reads_order"] for one in content["models"].values())
    if gain is not None and (gain["low"] or 0.0) > 0.0 and not readers:
        found.append("The order matters and no compared model reads it: compare a sequence model too, such as sasrec.")
    return found


def _items(facts: Mapping[str, Any]) -> list[str]:
    """How many events are with items that nobody took before."""
    if facts["cold"] is None or facts["cold"] == 0:
        return []
    features = f"the catalog has {', '.join(facts['features'])}" if facts["features"] else "the catalog has no features"
    return [
        f"{facts['cold']:.1%} of the newest tenth of the events are with items without an earlier event; {features}. How well "
        "they are predicted is measured by the protocol cold-items, not here."
    ]


def _alternative(content: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """The sentence of an alternative, with the price at which it comes."""
    name, need, limit = one["model"], one["need"], one["limit"]
    if limit is None:
        wanted = f"For {_NEEDS[need]}"
        if name is None:
            return f"{wanted}: none of the compared models."
    else:
        what = {"seconds": "training", "milliseconds": "a list", "bytes": "memory"}[need]
        wanted = f"For {what} under {_cost(need, limit)}"
    about, metric = content["models"][name], content["metric"]
    likelihood = about.get("log_likelihood_per_item")
    nats = "" if need != "density" or likelihood is None else f", {_estimate(likelihood, 3)} nats per held-out item"
    return f"{wanted}: {name}, {metric} {figure(about['validation'], 'mean', 4)}{nats}; it costs {_costs(about)}."


def _behind(models: Mapping[str, Any], name: str) -> str:
    found = models[name]["behind"]
    none = " (no interval: too few users differ)" if found["low"] is None else ""
    return f"{name} by {_estimate(found, 4, 'difference')}{none}"


def _estimate(entry: Mapping[str, Any], places: int, of: str = "mean") -> str:
    """A number with its interval in brackets, or the number alone."""
    between = interval(entry, places, " to ")
    return f"{figure(entry, of, places)}{f' ({between})' if between not in ('', '–') else ''}"


def _costs(about: Mapping[str, Any]) -> str:
    parts: Sequence[str] = [_cost(name, about[name]) for name in ("seconds", "milliseconds", "bytes")]
    return f"{parts[0]} of training, {parts[1]} a list, {parts[2]} of memory"


def _cost(name: str, value: float) -> str:
    """A cost with its unit."""
    if name == "bytes":
        return in_words(value) if value >= 1000 else f"{value:.0f} bytes"
    unit = {"seconds": "s", "milliseconds": "ms"}[name]
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"
