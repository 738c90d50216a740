"""The blocks of the page on scale: bytes of an event, a user and an item, points, a larger case and its walls."""

import json
from typing import Any

from foldin.memory import in_words
from tables.base import ROOT, rows_of

__all__ = ["scale_large", "scale_points", "scale_units", "scale_walls"]

KEPT = ROOT / "benchmarks" / "results" / "scale_model.json"
KINDS = {
    "full": "`softmax`",
    "sampled": "`sampled`",
    "bfloat16": "`sampled`, bfloat16",
}
WAYS = {
    "dense": "all gradients, as with `loss=softmax`",
    "rows": "rows of gradients, as with `loss=sampled`",
    "rows, bfloat16": "the same, bfloat16",
    "sharded": "tables divided among the machines, which foldin does not do",
}


def _result() -> dict[str, Any] | None:
    """The kept result; None before it was measured."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else None


def _time(seconds: float) -> str:
    for unit, scale in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2.0 * scale:
            return f"{seconds / scale:.1f} {unit}" if seconds < 10.0 * scale else f"{seconds / scale:,.0f} {unit}"
    if seconds >= 0.1:
        return f"{seconds:.2f} s" if seconds < 10.0 else f"{seconds:.0f} s"
    return f"{1e3 * seconds:.1f} ms" if seconds >= 1e-4 else f"{1e6 * seconds:.2f} µs"


def _power(count: float) -> str:
    """A count such as 2 · 10⁷."""
    digits, power = f"{count:.0e}".split("e")
    raised = str(int(power)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digits == "1" else f"{digits} · 10{raised}"


def _number(point: dict[str, Any], value: float) -> str:
    return _time(value) if point["unit"] == "s" else in_words(value)


def scale_units() -> str:
    """Bytes of an event, a user and an item."""
    result = _result()
    if result is None:
        return ""
    units, ids, dim = result["figures"]["units"], result["figures"]["bytes_of_an_id"], result["settings"]["dim"]
    event, of_user = units["event"], units["user"]["offset"] + ids["user, on disk"]
    rows = [
        ["an event with its time", f"{event['disk']:g} in the shards, {event['preparing']:g} while they are made", ""],
        ["a user", f"{of_user:.1f} in the shards, with a number as id", "no parameters"],
    ]
    for kind, label in KINDS.items():
        one = units["item"][kind]
        parts = f"{one['weights']:,.0f} + {one['gradients']:,.0f} + {one['moments']:,.0f}"
        rows.append(
            [f"an item, {label}", f"{one['weights']:,.0f} in a run's file", f"{sum(one.values()):,.0f}: {parts}"]
        )
    rows.append(["an item's id", "", f"{ids['item']:,.0f}, as text of eight characters"])
    rows += [
        [f"an item in the index `{kind}`", f"{size:,.0f}", "mapped from the file"]
        for kind, size in units["index"].items()
    ]
    table = rows_of(["", "bytes on disk", "bytes in memory, in training"], rows)
    return (
        f"Mult-VAE without hidden layers, `latent_dim={dim}`: a table of {2 * dim} numbers an item is read, one of {dim} is "
        f"scored. In training, an item takes weights + gradients + moments.\n\n{table}"
    )


def scale_points() -> str:
    """Each measured point beside its prediction."""
    result = _result()
    if result is None:
        return ""
    points = {**result["figures"]["points"], **result["figures"]["kept"]}
    rows = [
        [name, _number(one, one["measured"]), _number(one, one["predicted"]), f"{one['ratio']:.2f}", one["by"]]
        for name, one in points.items()
    ]
    close = sum(0.75 <= one["ratio"] <= 1.25 for one in points.values())
    threads = result["threads"]
    return (
        f"{close} of {len(points)} points are predicted within 25 %. Measured on {result['machine']}, "
        f"{threads} thread{'s' if threads > 1 else ''}.\n\n"
        + rows_of(["point", "measured", "predicted", "predicted ÷ measured", "by"], rows)
    )


def scale_large() -> str:
    """The case that was not measured."""
    result = _result()
    if result is None:
        return ""
    large = result["figures"]["large"]
    sizes, lists, disk = large["sizes"], large["lists"], large["disk"]
    rows = [
        [
            label,
            in_words(one["a_machine"]),
            *(f"{one['most_items'][size] / 1e6:.1f} M" for size in one["most_items"]),
            _time(one["step"]),
            _time(one["epoch_of_one"]),
        ]
        for (kind, label) in KINDS.items()
        for one in (large["kinds"][kind],)
    ]
    memories = [f"items that fit {size} GB" for size in large["kinds"]["full"]["most_items"]]
    table = rows_of(["Mult-VAE", "memory", *memories, "a step", "an epoch, one machine"], rows)
    links = list(large["exchange"]["dense"]["seconds"])
    exchange = rows_of(
        [
            "exchanged in a step",
            "received",
            *(f"{one} Gbit/s" for one in links),
            *(f"an epoch at {one} Gbit/s" for one in links),
        ],
        [
            [
                label,
                in_words(large["exchange"][way]["bytes"]),
                *(_time(large["exchange"][way][what][one]) for what in ("seconds", "epoch") for one in links),
            ]
            for way, label in WAYS.items()
        ],
    )
    return (
        f"{_power(sizes['events'])} events of {_power(sizes['users'])} users over {_power(sizes['items'])} items, "
        f"{sizes['machines']} machines like the one that was measured, {sizes['users_a_step']} users a step on each. The shards "
        f"take {in_words(disk['shards'])}, and {in_words(disk['preparing'])} more while they are made, in "
        f"{_time(large['preparing'])} on one machine.\n\n{table}\n\nThe exchange of the {sizes['machines']} machines; memory "
        f"and links are assumed, not measured:\n\n{exchange}\n\nAn exact list takes {_time(lists['one'])} for one user; "
        f"{sizes['evaluated']:,} users of an evaluation {_time(lists['evaluation'])} on one machine, and a list for every user "
        f"{_time(lists['all_users'])} on all of them."
    )


def scale_walls() -> str:
    """What stops first, in the numbers of the larger case."""
    result = _result()
    if result is None:
        return ""
    large = result["figures"]["large"]
    kinds, exchange, models, lists = (large[name] for name in ("kinds", "exchange", "models", "lists"))
    steps = "; ".join(
        f"{count} machines {_time(one['step'])} with {in_words(one['bytes'])} of exchange"
        for count, one in exchange["several"].items()
    )
    full, sampled, low = (kinds[name] for name in KINDS)
    indexes = ", ".join(f"{in_words(size)} for `{kind}`" for kind, size in large["indexes"].items())
    lines = [
        f"**Dense softmax.** Scores and their products grow with the catalog: {in_words(full['scores'])} of scores and "
        f"{_time(full['step'])} a step, against {in_words(sampled['scores'])} and {_time(sampled['step'])} with `loss=sampled`.",
        f"**Adam's moments.** {in_words(full['moments'])} beside {in_words(full['weights'])} of weights and as much of "
        f"gradients. Lazy Adam has no dense gradients, and in bfloat16 {in_words(low['moments'])} of moments. A checkpoint has "
        "weights, moments and the best weights so far, after each epoch.",
        f"**Exchange.** A worker has the whole model. All gradients are {in_words(exchange['dense']['bytes'])} a step. With "
        "`loss=sampled`, rows are exchanged, and every machine scores and updates the items of the whole batch, as one machine "
        f"would. A step of {large['sizes']['users_a_step']:,} users a machine then takes: 1 machine {_time(sampled['step'])}; "
        f"{steps}.",
        f"**Ids.** A catalog's ids take {in_words(large['ids'])} in every process that loads the run; preparing needs all ids of "
        "users and of items in memory.",
        f"**Exact lists and evaluation.** Scores are made in blocks of 64 MB, {lists['block']:.0f} user at a time here, and each "
        "block reads all vectors. Evaluate fewer users, and serve by an [index](lists.md#large-catalogs): "
        + indexes
        + ".",
        f"**Matrices of items by items.** EASE would need {in_words(models['ease'])}. SANSA's factor has "
        f"{in_words(models['sansa, factor'])}, and its training up to {in_words(models['sansa, training'])}; ELSA, with "
        f"{in_words(models['elsa'])}, updates every vector in every step.",
        f"**Factors of users.** ALS keeps those of users and items while it trains, {in_words(models['als, 128'])} for 128 "
        "factors, on every worker.",
    ]
    return "\n".join(f"- {line}" for line in lines)
