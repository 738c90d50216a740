"""Bytes and seconds of large logs and catalogs by formulas, beside what is measured, and what a larger case takes.

python benchmarks/scale_model.py                           about ten minutes on two cores
python benchmarks/scale_model.py --rounds 1 --events 0.5   sooner

The formulas (`scale_bytes.py`, `scale_times.py`) follow the code: bytes of an event, an item and a user on disk, in memory and
between workers; multiply-adds of products, rows that are gathered and scattered, passes over memory. The rates of the machine
(`scale_rates.py`) are measured in the same run, by turns with the points, each in a process of its own, `--rounds` times, and
medians are kept; those of two workers in two processes at the same time. No rate is taken from a point that it predicts, but for
those whose `by` is `growth`: they are on the line through two smaller points.

`points` are measured here; `kept` are the results of `grow.py`, `big_catalog.py`, `big_linear.py`, `big_lists.py` and
`workers.py` beside this one: bytes of any machine, times only of this machine. `ratio` is the predicted number over the
measured one. `large` is the prediction for `--large-events` million events over `--large-items` items on `--machines` machines
like this one. Links between machines and their memory are assumed there, not measured.
"""

import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from common import arguments, write
from scale_bytes import (
    Tables,
    autoencoder_anonymous,
    distinct,
    hnsw_bytes,
    inverted_file_bytes,
    popularity,
    preparing_bytes,
    sansa_bytes,
    shape_of,
    shard_bytes,
)
from scale_exchange import dense_exchange
from scale_kept import DRAWN, Point, kept_points, on_a_line
from scale_large import large_case
from scale_points import BATCH, measure, pair, run_child
from scale_rates import rates_of
from scale_times import Rates, ease_seconds, elsa_step, list_seconds, step_seconds, total, worker_step

KINDS = ("full", "sampled", "bfloat16")
FEW = 300  # items of the model whose process gives the memory of all else


def middle(found: list[Any]) -> Any:
    """The median of each number of the results of several rounds."""
    if isinstance(found[0], Mapping):
        return {name: middle([one[name] for one in found]) for name in found[0]}
    return statistics.median(found)


def measured(options: Any, itself: list[Any]) -> dict[str, Any]:
    """All that is measured, by turns, as the medians over the rounds."""
    small, large = options.small, options.items
    steps = [f"step,full,{FEW}", f"step,full,{small}"]
    steps += [f"step,{kind},{items}" for items in (small, large) for kind in KINDS[1:]]
    more = [f"ids,{large}", f"linear,elsa,{small}", f"linear,ease,{options.linear}", f"linear,sansa,{small}"]
    more += [f"shards,{size}" for size in prepared_sizes(options)]
    more += [f"index,HNSW32+SQ8,{small}", f"index,IVF{options.lists}+SQ8,{small}"]
    half, rounds = max(1, options.threads // 2), list[dict[str, Any]]()
    for _ in range(options.rounds):
        both = middle(pair(itself, ["rates", f"workers,{small}"], half))
        found = {"beside": both["rates"], "workers": both[f"workers,{small}"]}
        # Each step has a process of its own, whose memory is measured.
        for points in (["rates"], *([one] for one in steps), more):
            found |= run_child(itself, points, options.threads)
            print({one: found[one] for one in points}, file=sys.stderr, flush=True)
        rounds.append(found)
    return middle(rounds)  # type: ignore[no-any-return]


def prepared_sizes(options: Any) -> tuple[float, ...]:
    """Millions of rows of the logs that are prepared."""
    return 0.5 * options.events, options.events, 2.0 * options.events


def autoencoders(options: Any, found: dict[str, Any], rates: Rates, base: float) -> dict[str, Point]:
    """Steps, memory and lists of Mult-VAE."""
    points: dict[str, Point] = {}
    for what, row in found.items():
        name, *more = what.split(",")
        if name != "step" or int(more[1]) == FEW:
            continue
        kind, items = more[0], int(more[1])
        tables = Tables(items=items, read=2 * options.dim, scored=options.dim, kind=kind)
        shares, events = popularity(items), row["events"] / row["users"]
        shape = shape_of(tables, shares, users=BATCH, drawn=DRAWN, events=events, negatives=options.negatives)
        label = f"{items:,} items, {kind}"
        seconds = total(step_seconds(rates, tables, shape))
        points[f"{label}, a step"] = Point(row["seconds_per_step"], seconds, "s", "rates")
        seconds = total(list_seconds(rates, items, options.dim, users=options.ranked, kind=kind))
        points[f"{label}, a list"] = Point(row["seconds_per_list"], seconds, "s", "rates")
        touched = min(1.0, distinct(shares, row["steps"] * BATCH * DRAWN) / items)
        memory = autoencoder_anonymous(tables, shape, touched=touched, ranked=options.ranked, base=base)
        points[f"{label}, memory"] = Point(row["anonymous"], memory, "bytes", "formula")
    return points


def shared(options: Any, found: dict[str, Any], beside: Rates) -> dict[str, Point]:
    """A step of two workers, and the bytes that it sums."""
    row, items = found["workers"], options.small
    tables = Tables(items=items, read=2 * options.dim, scored=options.dim)
    events = row["events"] / row["users"]
    part = shape_of(tables, popularity(items), users=BATCH / 2, drawn=DRAWN, events=events, negatives=0)
    seconds = total(worker_step(beside, tables, part, 2))
    return {
        "two workers, a step": Point(row["seconds_per_step"], seconds, "s", "rates"),
        "two workers, summed in a step": Point(row["summed"], dense_exchange(tables), "bytes", "formula"),
    }


def others(options: Any, found: dict[str, Any], rates: Rates) -> dict[str, Point]:
    """Shards, linear models and indexes."""
    points: dict[str, Point] = {}
    logs = [found[f"shards,{size}"] for size in prepared_sizes(options)]
    for row in logs:
        label = f"{row['rows']:,.0f} rows"
        arrays = sum(shard_bytes(row["events"], row["users"]).values())
        points[f"{label}, arrays of shards"] = Point(row["arrays"], arrays, "bytes", "formula")
        between = preparing_bytes(row["rows"])
        points[f"{label}, on disk while preparing"] = Point(row["intermediate"], between, "bytes", "formula")
    grown = on_a_line(*((row["rows"], row["seconds"]) for row in logs[:2]), logs[2]["rows"])
    points[f"{logs[2]['rows']:,.0f} rows, preparing"] = Point(logs[2]["seconds"], grown, "s", "growth")
    items, row = options.small, found[f"linear,elsa,{options.small}"]
    events, rows = 256 * row["events"] / row["users"], distinct(popularity(items), 256 * DRAWN)
    seconds = total(elsa_step(rates, items, options.width, users=256, events=events, rows=rows))
    points[f"{items:,} items, elsa, a step"] = Point(row["seconds_per_step"], seconds, "s", "rates")
    row = found[f"linear,ease,{options.linear}"]
    seconds = total(ease_seconds(rates, options.linear, row["pairs"]))
    points[f"{options.linear:,} items, ease"] = Point(row["seconds"], seconds, "s", "rates")
    row = found[f"linear,sansa,{items}"]
    factor = sansa_bytes(items, options.neighbors, row["pairs"])["factor"]
    points[f"{items:,} items, sansa, factor"] = Point(row["bytes"], factor, "bytes", "formula")
    for kind, size in (
        ("HNSW32", hnsw_bytes(items, options.dim)),
        (f"IVF{options.lists}", inverted_file_bytes(items, options.dim, options.lists)),
    ):
        index = found[f"index,{kind}+SQ8,{items}"]
        points[f"{items:,} items, index {kind},SQ8"] = Point(index["bytes"], size, "bytes", "formula")
    return points


def units(options: Any) -> dict[str, Any]:
    """Bytes of an event, a user and an item."""
    each = lambda of: sum(of(2, 0).values()) - sum(of(1, 0).values())
    tables = {kind: Tables(items=1, read=2 * options.dim, scored=options.dim, kind=kind) for kind in KINDS}
    index = {"HNSW32,SQ8": hnsw_bytes, "IVF4096,SQ8": lambda items, dim: inverted_file_bytes(items, dim, 4096)}
    return {
        "event": {"disk": each(shard_bytes), "preparing": preparing_bytes(1)},
        "user": {"offset": each(lambda users, _: shard_bytes(0, users))},
        "item": {kind: one.an_item for kind, one in tables.items()},
        "index": {kind: of(2, options.dim) - of(1, options.dim) for kind, of in index.items()},
    }


def kept_in_words(points: Mapping[str, Point]) -> dict[str, dict[str, Any]]:
    """Points as they are kept, each with its ratio."""
    return {name: {**asdict(one), "ratio": one.predicted / one.measured} for name, one in points.items()}


def main() -> None:
    options = arguments(
        __doc__,
        name="scale_model",
        folder=Path(__file__).parent,
        child="",
        meeting="",
        rank=0,
        size=1,
        threads=2,
        rounds=3,
        scale=1.0,
        events=1.0,
        steps=30,
        small=20_000,
        items=200_000,
        linear=4_000,
        dim=200,
        width=128,
        neighbors=20,
        negatives=4096,
        ranked=64,
        lists=128,
        large_events=1_000.0,
        large_items=10_000_000,
        machines=64,
        tiny={
            **{"rounds": 1, "scale": 0.01, "events": 0.04, "steps": 4, "small": 400, "items": 900, "linear": 150},
            **{"dim": 8, "width": 8, "neighbors": 3, "negatives": 32, "ranked": 4, "lists": 4, "large_items": 20_000},
        },
    )
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(measure(options)))
        return
    same = ("scale", "events", "steps", "items", "dim", "width", "neighbors", "negatives", "ranked")
    itself = [sys.executable, __file__, *(part for name in same for part in (f"--{name}", getattr(options, name)))]
    found = measured(options, itself)
    alone, beside = (rates_of(found[name]) for name in ("rates", "beside"))
    base = found[f"step,full,{FEW}"]["anonymous"]
    points = autoencoders(options, found, alone, base) | shared(options, found, beside) | others(options, found, alone)
    kept = kept_points(Path(__file__).parent / "results", alone, beside, base)
    few, log = (found[f"shards,{size}"] for size in prepared_sizes(options)[1:])
    ids = found[f"ids,{options.items}"]
    large = large_case(
        alone,
        events=1e6 * options.large_events,
        items=options.large_items,
        machines=options.machines,
        dim=options.dim,
        negatives=options.negatives,
        id_bytes=ids["anonymous"] / ids["items"],
        prepared=(log["seconds"] - few["seconds"]) / (log["rows"] - few["rows"]),
    )
    figures = {
        "units": units(options),
        "rates": {"alone": found["rates"], "beside": found["beside"]},
        "base": base,
        "bytes_of_an_id": {"item": ids["anonymous"] / ids["items"], "user, on disk": log["user_ids"]},
        "points": kept_in_words(points),
        "kept": kept_in_words(kept),
        "large": large,
    }
    everything = {**figures["points"], **figures["kept"]}
    write(
        options.json,
        "scale_model",
        settings={**{name: getattr(options, name) for name in (*same, "rounds", "small", "linear")}, "batch": BATCH},
        figures=figures,
        ratios={name: one["ratio"] for name, one in everything.items()},
    )


if __name__ == "__main__":
    main()
